import { get } from "../api/client"
import type { Attachment } from "../api/types"
import { bytes } from "../app/format"
import { Icon } from "../app/Icon"
import { invalidate } from "./cache"

const PICTURES = /^image\/(png|jpeg|gif|webp|avif)$/

/** A file of a message. Its link expires: then a new one is asked for. */
export function AttachedFile({ attachment, threadId }: { attachment: Attachment; threadId: string }) {
  const { attachmentId, name, contentType, lengthBytes, link = "", linkExpiresAt = 0 } = attachment

  async function opened(event: MouseEvent): Promise<void> {
    if (linkExpiresAt > Date.now()) return
    event.preventDefault()
    // The window opens at once: after a wait, browsers take it for an advertisement.
    const tab = open("about:blank", "_blank")
    const fresh = await get<Attachment>(`api/attachments/${attachmentId}`).catch(() => null)
    if (tab && fresh?.link) tab.location.href = fresh.link
    else tab?.close()
    void invalidate(threadId)
  }
  return (
    <a class="file" href={link} target="_blank" rel="noopener" onClick={event => void opened(event)}>
      {PICTURES.test(contentType) ? (
        <img class="thumb" src={link} alt="" loading="lazy" onError={() => void retry()} />
      ) : (
        <span class="thumb icon-thumb">
          <Icon name="file" />
        </span>
      )}
      <span class="cut">
        {name}
        <small>
          <bdi dir="ltr">{bytes(lengthBytes)}</bdi>
        </small>
      </span>
    </a>
  )

  function retry(): void {
    if (linkExpiresAt < Date.now()) void invalidate(threadId)
  }
}
