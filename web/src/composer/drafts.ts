import { type Signal, signal } from "@preact/signals"
import { ApiError, getAll, onReturn, post, upload } from "../api/client"
import { on } from "../api/stream"
import type { Attachment, Draft, Mode } from "../api/types"
import { t } from "../app/i18n"
import { FILES_MAX } from "../app/limits"
import { me } from "../app/session"
import { tick } from "../app/tick"
import { toast } from "../app/toast"
import { noteOwnDraft, onForeignDraft } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { drafted, draftKey, noteDraft } from "../list/drafted"
import { drop, keep, keptUnder } from "./kept"
import { fromStored, toStored } from "./variables"

const SAVE_AFTER_MS = 700
const PREFIX = "draft:"
/** How far the clocks of browser and server may be apart. */
const SKEW_MS = 5 * 60_000

/** A file of a draft; it is uploaded at once. */
export interface DraftFile {
  key: string
  name: string
  lengthBytes: number
  state: "uploading" | "ready" | "failed"
  attachment: Attachment | null
  source: File | null
}

/** What an employee has written and not sent. */
export interface Written {
  text: string
  files: readonly DraftFile[]
  /** `kept`: by the server; `local`: by this browser, because the server cannot be reached */
  state: "none" | "changed" | "kept" | "local"
  /** when the server has kept it, by its clock; 0 if it has not */
  updatedAt: number
  /** when this page has changed or saved it last, by `tick` */
  changedAt: number
}

interface Local {
  employeeUserId: string
  threadId: string
  mode: Mode
  text: string
  attachments: Attachment[]
  keptAt: number
}

const NOTHING: Written = { text: "", files: [], state: "none", updatedAt: 0, changedAt: 0 }
const drafts = new Map<string, Signal<Written>>()
const timers = new Map<string, ReturnType<typeof setTimeout>>()
const saving = new Map<string, Promise<void>>()

/** The draft of the employee in a conversation. */
export function draftOf(threadId: string, mode: Mode): Signal<Written> {
  const key = draftKey(threadId, mode)
  const known = drafts.get(key)
  if (known) return known
  const draft = signal(NOTHING)
  drafts.set(key, draft)
  draft.subscribe(now => {
    if (now !== NOTHING) noteDraft(key, !isEmpty(now))
  })
  return draft
}

/** Change a draft. It is saved when the employee pauses. */
export function write(threadId: string, mode: Mode, to: Partial<Pick<Written, "text" | "files">>): void {
  const draft = draftOf(threadId, mode)
  draft.value = { ...draft.peek(), ...to, state: "changed", changedAt: tick() }
  const key = draftKey(threadId, mode)
  clearTimeout(timers.get(key))
  timers.set(
    key,
    setTimeout(() => void save(threadId, mode), SAVE_AFTER_MS),
  )
}

/** Empty a draft, because its message is on its way. */
export function clear(threadId: string, mode: Mode): void {
  if (isEmpty(draftOf(threadId, mode).peek())) return
  write(threadId, mode, { text: "", files: [] })
  saveNow(threadId)
}

/** Put a message back that was not sent: before what was written since. */
export function restore(threadId: string, mode: Mode, text: string, attachments: readonly Attachment[]): void {
  const now = draftOf(threadId, mode).peek()
  const both = now.text.trim() ? `${text}\n\n${now.text}` : text
  write(threadId, mode, { text: both, files: [...attachments.map(ready), ...now.files] })
}

/** Save what was changed and not saved, for instance before the page is left. */
export function saveNow(threadId: string): void {
  for (const mode of ["reply", "note"] as const) {
    if (draftOf(threadId, mode).peek().state === "changed") void save(threadId, mode)
  }
}

async function save(threadId: string, mode: Mode): Promise<void> {
  const key = draftKey(threadId, mode)
  clearTimeout(timers.get(key))
  const draft = draftOf(threadId, mode)
  void keepHere(threadId, mode, draft.peek()) // the page may be closed before there is a response
  while (saving.has(key)) await saving.get(key) // one after the other: the last to arrive counts
  const before = draft.peek()
  if (!isUnsaved(before)) return
  const one = store(threadId, mode, draft, before)
  saving.set(key, one)
  await one
  saving.delete(key)
}

async function store(threadId: string, mode: Mode, draft: Signal<Written>, before: Written): Promise<void> {
  const key = keptKey(threadId, mode)
  noteOwnDraft(threadId, mode)
  try {
    const { updatedAt } = await post<{ updatedAt: number }>(
      "api/inbox/drafts",
      {
        customerThreadId: threadId,
        mode,
        text: toStored(before.text),
        attachmentIds: attachmentsOf(before.files).map(each => each.attachmentId),
      },
      { keepalive: true },
    )
    const saved = { updatedAt, changedAt: tick() }
    if (draft.peek() !== before) {
      draft.value = { ...draft.peek(), ...saved }
      return
    }
    draft.value = { ...before, ...saved, state: isEmpty(before) ? "none" : "kept" }
    void drop(key)
  } catch (error) {
    if (isForGood(error)) void drop(key)
    else if (draft.peek() === before) {
      void keepHere(threadId, mode, before)
      draft.value = { ...before, state: "local" }
    }
  }
}

/** Whether there is nothing to keep any more, such as for an erased customer. After a 400, the text can be shortened. */
function isForGood(error: unknown): boolean {
  return error instanceof ApiError && ![400, 401].includes(error.status) && error.status < 429
}

/** Let the browser keep what is changed, until the server has it. */
async function keepHere(threadId: string, mode: Mode, { text, files, state }: Written): Promise<void> {
  if (state !== "changed") return
  const { employeeUserId } = me.peek()
  const local: Local = { employeeUserId, threadId, mode, text, attachments: attachmentsOf(files), keptAt: Date.now() }
  await keep(keptKey(threadId, mode), local)
}

/** Employees who share a browser have drafts of their own. */
function keptKey(threadId: string, mode: Mode): string {
  return `${PREFIX}${me.peek().employeeUserId}:${draftKey(threadId, mode)}`
}

/** Take over the drafts that the server has of a conversation, unless something newer is here. */
export function adopt({ thread, drafts: stored, askedAt }: ShownThread): void {
  for (const mode of ["reply", "note"] as const) {
    const draft = draftOf(thread.customerThreadId, mode)
    const now = draft.peek()
    const { updatedAt, changedAt, files } = now
    if (isUnsaved(now) || changedAt > askedAt || files.some(each => each.state !== "ready")) continue
    const own = stored.find(each => each.mode === mode && each.employeeUserId === me.peek().employeeUserId)
    if (own && own.updatedAt > updatedAt) draft.value = shown(own)
    else if (!own && !isEmpty(now)) draft.value = { ...NOTHING, updatedAt }
  }
}

/** Take over the draft that a program suggested, as the server has given it to the employee. */
export function takeOver(taken: Draft): void {
  const draft = draftOf(taken.customerThreadId, taken.mode)
  // A response to an earlier request does not have it.
  if (!isUnsaved(draft.peek())) draft.value = { ...shown(taken), changedAt: tick() }
}

function shown({ text, attachments, updatedAt }: Draft): Written {
  return { text: fromStored(text), files: attachments.map(ready), state: "kept", updatedAt, changedAt: 0 }
}

function ready(attachment: Attachment): DraftFile {
  const { attachmentId: key, name, lengthBytes } = attachment
  return { key, name, lengthBytes, state: "ready", attachment, source: null }
}

/** The files that the server has. */
export function attachmentsOf(files: readonly DraftFile[]): Attachment[] {
  return files.map(each => each.attachment).filter(each => each !== null)
}

function isUnsaved({ state }: Written): boolean {
  return state === "changed" || state === "local"
}

function isEmpty({ text, files }: Written): boolean {
  return !text && !files.length
}

/** Add files that the employee has dropped, pasted or chosen. */
export function addFiles(threadId: string, mode: Mode, sources: readonly File[]): void {
  const { files } = draftOf(threadId, mode).peek()
  const added = sources.slice(0, Math.max(0, FILES_MAX - files.length)).map(
    (source): DraftFile => ({
      key: crypto.randomUUID(),
      name: source.name,
      lengthBytes: source.size,
      state: "uploading",
      attachment: null,
      source,
    }),
  )
  if (added.length < sources.length) toast({ text: t("A message can have up to 10 files."), isError: true })
  write(threadId, mode, { files: [...files, ...added] })
  for (const file of added) void uploadFile(threadId, mode, file)
}

export async function uploadFile(threadId: string, mode: Mode, file: DraftFile): Promise<void> {
  if (!file.source) return
  const set = (to: Partial<DraftFile>) => {
    const { files } = draftOf(threadId, mode).peek()
    write(threadId, mode, { files: files.map(each => (each.key === file.key ? { ...each, ...to } : each)) })
  }
  set({ state: "uploading" })
  try {
    const form = new FormData()
    form.set("file", file.source, file.name)
    set({ state: "ready", attachment: await upload<Attachment>("api/attachments", form) })
  } catch (error) {
    set({ state: "failed" })
    const isTooLarge = error instanceof ApiError && error.status === 413
    toast({
      text: isTooLarge
        ? t("{name} is too large.", { name: file.name })
        : t("{name} could not be uploaded.", { name: file.name }),
      isError: true,
    })
  }
}

export function addAttachments(threadId: string, mode: Mode, attachments: readonly Attachment[]): void {
  const { files } = draftOf(threadId, mode).peek()
  const isNew = ({ attachmentId }: Attachment) => !files.some(each => each.attachment?.attachmentId === attachmentId)
  write(threadId, mode, { files: [...files, ...attachments.filter(isNew).map(ready)].slice(0, FILES_MAX) })
}

let reads = 0

/** Read which conversations have a draft. What was written since then, or is not saved yet, is known here. */
async function readDrafted(): Promise<void> {
  const read = ++reads
  const before = new Map([...drafts].map(([key, draft]) => [key, draft.peek()]))
  try {
    const stored = await getAll<Draft>("api/inbox/drafts", "drafts")
    if (read !== reads) return // a later one knows more
    drafted.value = new Set(stored.map(each => draftKey(each.customerThreadId, each.mode)))
    for (const [key, draft] of drafts) {
      const now = draft.peek()
      if (isUnsaved(now) || (now !== NOTHING && now !== before.get(key))) noteDraft(key, !isEmpty(now))
    }
  } catch {
    // The next connection brings them.
  }
}

/** Begin to keep drafts, and find those that an earlier page could not save. */
export async function startDrafts(): Promise<void> {
  const saveAll = () => {
    for (const key of drafts.keys()) {
      const [threadId = "", mode] = key.split(":")
      void save(threadId, mode as Mode)
    }
  }
  onReturn(saveAll)
  on("ready", () => {
    saveAll()
    void readDrafted() // another machine may have changed some while there was no connection
  })
  void readDrafted()
  addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") saveAll()
  })
  addEventListener("pagehide", saveAll)
  onForeignDraft(() => void readDrafted())
  const left = (await keptUnder<Local>(PREFIX)).filter(each => each.employeeUserId === me.peek().employeeUserId)
  const stored = left.length ? await getAll<Draft>("api/inbox/drafts", "drafts").catch(() => []) : []
  for (const { threadId, mode, text, attachments, keptAt } of left) {
    const draft = draftOf(threadId, mode)
    if (draft.peek().changedAt) continue
    const known = stored.find(each => each.customerThreadId === threadId && each.mode === mode)
    if (known && known.updatedAt > keptAt + SKEW_MS) {
      void drop(keptKey(threadId, mode)) // the employee has changed it elsewhere since
      continue
    }
    draft.value = { text, files: attachments.map(ready), state: "local", updatedAt: 0, changedAt: tick() }
    void save(threadId, mode)
  }
}
