/** The name of a key as the machine has it. */
export function onMac(mac: string, other: string): string {
  return /Mac|iPhone|iPad/.test(navigator.platform) ? mac : other
}
