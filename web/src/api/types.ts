/**
 * The types of the API, in the words of the inbox. `schema.ts` has their fields; the API reference at `/docs` says what
 * they mean. Ids are strings, times are Unix milliseconds.
 */
import type {
  ActivityOut,
  BulkDone,
  DraftOut,
  EarlierMessages,
  InboxCounts,
  InboxCustomer,
  InboxThread,
  InboxThreads,
  LinkedAttachment,
  MyBusiness,
  OpenedConversation,
  SavedReplyOut,
  SavedViewOut,
  ScheduledMessageOut,
  Me as SchemaMe,
  TagOut,
  ThreadMessage,
  Undone,
  ViewerOut,
} from "./schema"

export type {
  Delivery,
  FirstSteps,
  InboxThread,
  Invited,
  PossibleSame,
  PublishableKeyOut,
  PublishableKeys,
} from "./schema"

export type Channel = InboxThread["channel"]
export type Status = InboxThread["status"]
export type Mode = DraftOut["mode"]
export type PresenceState = ViewerOut["state"] | "left"

export type ThreadPage = InboxThreads
/** `resolved` has none. */
export type Counts = Omit<InboxCounts, "views"> & { views: Partial<InboxCounts["views"]> & { resolved?: never } }
export type Attachment = LinkedAttachment
export type Message = ThreadMessage
export type Draft = DraftOut
export type ScheduledMessage = ScheduledMessageOut
export type Activity = ActivityOut
export type Viewer = ViewerOut
export type OpenThread = OpenedConversation
export type OlderMessages = EarlierMessages
export type Customer = InboxCustomer

/** The employee who is signed in. */
export type Me = SchemaMe & { employeeUserId: string; name: string; email: string }
export type Business = MyBusiness
export type SavedView = SavedViewOut
export type SavedReply = SavedReplyOut
export type Tag = TagOut

/** What `POST /api/inbox/bulk` does: an `InboxAction` with the fields of its type. */
export type Action =
  | { type: "status"; status: Status }
  | { type: "assign"; assigneeUserId: string | null }
  | { type: "snooze"; until: number }
  | { type: "unsnooze" }
  | { type: "tags"; addTagIds: string[]; removeTagIds: string[] }
  | { type: "transfer"; businessId: string }
  | { type: "read" }
  | { type: "unread" }
export type ActionResult = BulkDone
export type UndoResult = Undone
