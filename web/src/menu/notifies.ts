import { signal } from "@preact/signals"

/** Where the browser keeps that it notifies, with the id of its push subscription if it has one. */
export const KEY = "shopbell.notifications"

export const canNotify = "Notification" in window && "serviceWorker" in navigator

/** Whether this browser notifies the employee. */
export const notifies = signal(canNotify && Notification.permission === "granted" && localStorage.getItem(KEY) !== null)
