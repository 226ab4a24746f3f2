import { type Command, commands, hasSingleKeys, setSingleKeys } from "../app/commands"
import { Dialog } from "../app/Dialog"
import { t } from "../app/i18n"
import { onMac } from "../app/keys"
import { openDialog } from "./dialogs"
import { Keycaps } from "./Keycaps"

/** The sheet of keys. */
export function Keys() {
  const groups: [string, Command["group"]][] = [
    [t("Conversation"), "conversation"],
    [t("List"), "list"],
    [t("Go to"), "go"],
    [t("Page"), "page"],
  ]
  const close = () => {
    openDialog.value = null
  }
  const known = commands.value.filter(each => each.keys?.length)
  return (
    <Dialog class="menu keys" label={t("Keyboard shortcuts")} onClose={close}>
      <header class="bar">
        <h2>{t("Keyboard shortcuts")}</h2>
        <span class="push" />
        <label>
          <input
            type="checkbox"
            checked={hasSingleKeys.value}
            onChange={event => setSingleKeys(event.currentTarget.checked)}
          />
          {t("Single letters")}
        </label>
        <button type="button" class="button" onClick={close}>
          {t("Close")}
        </button>
      </header>
      {/* A region that scrolls must be reachable by keyboard. */}
      <section class="sheet" aria-label={t("Keyboard shortcuts")} tabindex={0}>
        <div class="columns">
          {groups.map(([name, group]) => (
            <div key={group}>
              <h3>{name}</h3>
              <dl>
                {known
                  .filter(each => each.group === group)
                  .map(({ id, text, keys }) => (
                    <div key={id}>
                      <dt>{text()}</dt>
                      <dd>
                        <Keycaps keys={keys?.[0] ?? ""} />
                      </dd>
                    </div>
                  ))}
                {group === "conversation" && (
                  <>
                    <div>
                      <dt>{t("Send what is written")}</dt>
                      <dd>
                        <kbd>{onMac("⌘↵", "Ctrl ↵")}</kbd>
                      </dd>
                    </div>
                    <div>
                      <dt>{t("Undo in the empty field")}</dt>
                      <dd>
                        <kbd>{onMac("⌘Z", "Ctrl Z")}</kbd>
                      </dd>
                    </div>
                  </>
                )}
              </dl>
            </div>
          ))}
        </div>
      </section>
    </Dialog>
  )
}
