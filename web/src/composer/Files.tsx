import type { Mode } from "../api/types"
import { bytes } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { draftOf, uploadFile, write } from "./drafts"

/** The files of a draft. */
export function Files({ threadId, mode }: { threadId: string; mode: Mode }) {
  const { files } = draftOf(threadId, mode).value
  if (!files.length) return null
  return (
    <ul class="files" aria-label={t("Files")}>
      {files.map(file => (
        <li key={file.key} class={file.state === "failed" ? "failed" : undefined}>
          <span class="cut">{file.name}</span>
          <small>{file.state === "uploading" ? t("Uploading…") : <bdi dir="ltr">{bytes(file.lengthBytes)}</bdi>}</small>
          {file.state === "failed" && file.source && (
            <button
              type="button"
              class="icon"
              aria-label={t("Upload {name} again", { name: file.name })}
              onClick={() => void uploadFile(threadId, mode, file)}
            >
              <Icon name="refresh-cw" />
            </button>
          )}
          <button
            type="button"
            class="icon"
            aria-label={t("Remove {name}", { name: file.name })}
            onClick={() => write(threadId, mode, { files: files.filter(each => each !== file) })}
          >
            <Icon name="x" />
          </button>
        </li>
      ))}
    </ul>
  )
}
