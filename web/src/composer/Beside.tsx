import { Avatar } from "../app/Avatar"
import { listed } from "../app/format"
import { t } from "../app/i18n"
import { colleaguesAt } from "../app/presence"
import { isTyping } from "../conversation/presence"

/** Who else is in this conversation right now. */
export function Beside({ threadId, name }: { threadId: string; name: string }) {
  const here = colleaguesAt(threadId).value
  const writing = here.filter(each => each.state === "writing")
  const shown = writing.length ? writing : here
  const names = listed(shown.map(each => each.name))
  const typing = isTyping(threadId).value
  return (
    // It is always there, so that screen readers notice when it changes.
    <div class="besides" role="status">
      {typing && (
        <p class="beside">
          <Dots />
          {t("{name} is writing…", { name })}
        </p>
      )}
      {shown.length > 0 && (
        <p class={`beside${writing.length ? " writes" : ""}`}>
          {shown.map(each => (
            <Avatar key={each.employeeUserId} name={each.name} id={each.employeeUserId} size={1.25} tiny />
          ))}
          {writing.length === 0
            ? shown.length > 1
              ? t("{names} are reading this too", { names })
              : t("{names} is reading this too", { names })
            : writing.length > 1
              ? t("{names} are writing…", { names })
              : t("{name} is writing…", { name: names })}
          {writing.length > 0 && <Dots />}
        </p>
      )}
    </div>
  )
}

function Dots() {
  return (
    <span class="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  )
}
