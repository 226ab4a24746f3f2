import { isOffline } from "../api/stream"
import { Avatar } from "../app/Avatar"
import { hasSingleKeys, setSingleKeys } from "../app/commands"
import { number } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { onMac } from "../app/keys"
import { Menu, type MenuItem } from "../app/Menu"
import { url } from "../app/paths"
import { href, type Route, route, VIEWS } from "../app/router"
import { mayEverywhere, me } from "../app/session"
import { setTheme, THEMES, theme } from "../app/theme"
import { openDialog } from "../menu/dialogs"
import { canNotify, notifies } from "../menu/notifies"
import { counts } from "./counts"
import { VIEW_ICONS, viewName } from "./names"
import { isShown, routeOf, savedViews } from "./saved"
import { swatch } from "./swatch"

const COUNTED: readonly string[] = ["needs-reply", "mine", "unassigned", "mentions"]

/** The pane at the side: where the conversations are, and who is signed in. */
export function Views() {
  const { view, filters } = route.value
  const businessId = filters.get("businessId")
  const saved = savedViews.value.find(each => isShown(each, route.value))
  const isPlain = !saved && !businessId
  const { businesses } = me.value
  return (
    <nav class="views" aria-label={t("Views")}>
      <div>
        <Menu class="org" label={me.value.organization.name} items={organizationItems()}>
          <img src={url("inbox/shopbell.svg")} alt="" />
          <span class="cut">{me.value.organization.name}</span>
          <Icon name="chevron-down" />
        </Menu>
        <Find />
      </div>
      <ul>
        {VIEWS.map(name => {
          const count = COUNTED.includes(name) ? counts.value.views[name] : 0
          const isCurrent = isPlain && name === view
          return (
            <Entry
              key={name}
              to={{ view: name }}
              isCurrent={isCurrent}
              count={count}
              isDue={isCurrent && name === "needs-reply"}
              name={viewName(name)}
            >
              <Icon name={VIEW_ICONS[name]} />
            </Entry>
          )
        })}
      </ul>
      {businesses.length > 1 && (
        <div>
          <h2>{t("Businesses")}</h2>
          <ul>
            {businesses
              .filter(each => each.active)
              .map(business => (
                <Entry
                  key={business.businessId}
                  to={{ view: "needs-reply", filters: new URLSearchParams({ businessId: business.businessId }) }}
                  isCurrent={!saved && businessId === business.businessId}
                  count={counts.value.businesses.find(each => each.businessId === business.businessId)?.needsReply}
                  name={business.name}
                >
                  {swatch(business)}
                </Entry>
              ))}
          </ul>
        </div>
      )}
      {savedViews.value.length > 0 && (
        <div>
          <h2>{t("Saved filters")}</h2>
          <ul>
            {savedViews.value.map(each => (
              <Entry
                key={each.savedViewId}
                to={routeOf(each)}
                isCurrent={each === saved}
                count={counts.value.savedViews.find(({ savedViewId }) => savedViewId === each.savedViewId)?.count}
                name={each.name}
              >
                <Icon name="list-filter" />
              </Entry>
            ))}
          </ul>
        </div>
      )}
      <Menu class="self" label={me.value.name} items={ownItems()}>
        <Avatar name={me.value.name} id={me.value.employeeUserId} />
        <span>
          <b class="cut">{me.value.name}</b>
          <small class={isOffline.value ? "off" : undefined}>
            {isOffline.value ? t("No connection") : t("Online")}
          </small>
        </span>
      </Menu>
    </nav>
  )
}

interface EntryProps {
  to: Partial<Route>
  isCurrent: boolean
  name: string
  count: number | undefined
  isDue?: boolean
  children: preact.ComponentChildren
}

function Entry({ to, isCurrent, name, count, isDue = false, children }: EntryProps) {
  const target = href({ threadId: null, filters: new URLSearchParams(), ...to })
  return (
    <li>
      <a href={target} aria-current={isCurrent ? "page" : undefined} title={name}>
        {children}
        <span class="cut">{name}</span>
        {count ? <span class={`num${isDue ? " due" : ""}`}>{number(count)}</span> : null}
      </a>
    </li>
  )
}

/** The field that opens the command menu. */
function Find() {
  return (
    <button
      type="button"
      class="find"
      aria-label={t("Search and commands")}
      onClick={() => {
        openDialog.value = "menu"
      }}
    >
      <Icon name="search" />
      <span>{t("Search")}</span>
      <kbd>{onMac("⌘K", "Ctrl K")}</kbd>
    </button>
  )
}

function organizationItems(): MenuItem[] {
  const items: MenuItem[] = [{ text: t("API reference"), icon: "globe", href: url("docs") }]
  if (mayEverywhere("audit:read"))
    items.unshift({ text: t("Audit log"), icon: "shield-check", href: url("account/audit") })
  return items
}

/** What the employee's own menu has. On a phone, a tab opens it. */
export function ownItems(): (MenuItem | "line")[] {
  const names = { auto: t("System theme"), light: t("Light"), dark: t("Dark") }
  const icons = { auto: "monitor", light: "sun", dark: "moon" } as const
  return [
    ...THEMES.map(each => ({
      text: names[each],
      icon: icons[each],
      isOn: theme.value === each,
      run: () => setTheme(each),
    })),
    "line",
    {
      text: hasSingleKeys.value ? t("Turn single-key shortcuts off") : t("Turn single-key shortcuts on"),
      icon: "zap",
      run: () => setSingleKeys(!hasSingleKeys.value),
    },
    ...(canNotify
      ? [
          {
            text: notifies.value ? t("Turn notifications off") : t("Turn notifications on"),
            icon: "bell" as const,
            run: () => void import("../menu/notifications").then(each => each.setNotifications(!notifies.peek())),
          },
        ]
      : []),
    "line",
    { text: t("Account"), icon: "settings", href: url("account") },
    { text: t("Sign out"), icon: "log-out", run: signOut },
  ]
}

/** Sign out, as the form of the account page does. */
function signOut(): void {
  const form = document.createElement("form")
  form.method = "post"
  form.action = url("sign-out")
  document.body.append(form)
  form.submit()
}
