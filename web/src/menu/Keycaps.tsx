import { onMac } from "../app/keys"

const NAMES: Record<string, string> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowLeft: "←",
  ArrowRight: "→",
  Enter: "↵",
  Escape: "Esc",
  Shift: "⇧",
}

/** The keys of a command, as they are labeled on the keyboard. */
export function Keycaps({ keys }: { keys: string }) {
  const caps = keys.split(" ").map(press =>
    press
      .replace("$mod+", onMac("⌘", "Ctrl "))
      .replace("Shift+?", "?")
      .split("+")
      .map(key => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key))
      .join(""),
  )
  return (
    <>
      {caps.map(cap => (
        <kbd key={cap}>{cap}</kbd>
      ))}
    </>
  )
}
