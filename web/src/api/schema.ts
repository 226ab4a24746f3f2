// `make types` writes this file. It is up to date with the schemas of this digest:
// 574a17a27fc27e1e44b52297f996d4e63654ba8ecbe4342d5127ee0cd95c5f79

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        ActivityOut: {
            type: string;
            at: number;
            afterSequence: number;
            actorUserId: string | null;
            actorName: string | null;
            details: {
                [key: string]: unknown;
            };
        };
        BulkDone: {
            actionId: string;
            changed: number;
            unchanged: number;
            failed: components["schemas"]["NotChanged"][];
            failedCount: number;
            position: number;
        };
        BusinessCount: {
            businessId: string;
            needsReply: number;
        };
        Colleague: {
            employeeUserId: string;
            name: string;
            active: boolean;
        };
        CustomerDatum: {
            name: string;
            value: string;
        };
        Delivery: {
            /** @enum {string} */
            channel: "WEB" | "EMAIL" | "SMS" | "WHATSAPP";
            /** @enum {string} */
            audience: "customer" | "store";
            /** @enum {string} */
            state: "queued" | "sent" | "delivered" | "read" | "failed";
            reason: string | null;
            at: number;
        };
        DraftOut: {
            draftId: string;
            customerThreadId: string;
            employeeUserId: string | null;
            /** @enum {string} */
            mode: "reply" | "note";
            text: string;
            attachments: components["schemas"]["LinkedAttachment"][];
            updatedAt: number;
            byProgram: boolean;
        };
        EarlierMessages: {
            messages: components["schemas"]["ThreadMessage"][];
            hasMore: boolean;
            activities: components["schemas"]["ActivityOut"][];
        };
        FirstSteps: {
            hasBusiness: boolean;
            hasWidget: boolean;
            hasConversation: boolean;
            hasColleague: boolean;
            sendsEmails: boolean;
        };
        InboxAction: {
            /** @enum {string} */
            type: "status" | "assign" | "snooze" | "unsnooze" | "tags" | "transfer" | "read" | "unread";
            status?: ("waiting" | "replied" | "resolved") | null;
            assigneeUserId?: (string | number) | null;
            until?: number | null;
            /** @default false */
            keep: boolean;
            businessId?: (string | number) | null;
            addTagIds?: (string | number)[];
            removeTagIds?: (string | number)[];
        };
        InboxCounts: {
            views: components["schemas"]["ViewCounts"];
            businesses: components["schemas"]["BusinessCount"][];
            savedViews: components["schemas"]["SavedViewCount"][];
        };
        InboxCustomer: {
            id: string;
            /**
             * @default prospect
             * @constant
             */
            type: "prospect";
            editable: boolean;
            pictureHref?: string | null;
            displayName: string;
            emailAddress: string | null;
            phoneNumber: string | null;
            firstName: string | null;
            lastName: string | null;
            company: string | null;
            /** @enum {string} */
            channel: "WEB" | "EMAIL" | "SMS" | "WHATSAPP";
            customerData: components["schemas"]["CustomerDatum"][];
            lastSurveys: components["schemas"]["LastSurveys"];
            unverifiedEmailAddress: string | null;
            unverifiedPhoneNumber: string | null;
            createdAt: number;
            blockedAt: number | null;
        };
        InboxThread: {
            customerThreadId: string;
            businessId: string;
            customerId: string;
            customerName: string | null;
            /** @enum {string} */
            channel: "WEB" | "EMAIL" | "SMS" | "WHATSAPP";
            /** @enum {string} */
            status: "waiting" | "replied" | "resolved";
            assigneeUserId: string | null;
            waitingSince: number | null;
            lastMessageAt: number;
            preview: string;
            /** @enum {string} */
            lastAuthor: "customer" | "employee" | "program";
            lastSequence: number;
            unread: boolean;
            mentioned: boolean;
            snoozedUntil: number | null;
            tagIds: string[];
            position: number;
        };
        InboxThreads: {
            threads: components["schemas"]["InboxThread"][];
            nextCursor: string | null;
        };
        Invited: {
            link: string;
            expiresAt: number;
            sent: boolean;
        };
        LastSurveys: {
            nps?: components["schemas"]["SurveyAnswer"] | null;
            preferredChannel?: components["schemas"]["SurveyAnswer"] | null;
        };
        LinkedAttachment: {
            attachmentId: string;
            uuid: string;
            name: string;
            contentType: string;
            lengthBytes: number;
            sha256: string;
            createdAt: number;
            link: string;
            linkExpiresAt: number;
        };
        MailFacts: {
            sender: string | null;
            senderName: string | null;
            subject: string | null;
            fullText: string | null;
            spf: string | null;
            dkim: string | null;
            dmarc: string | null;
            foreignSender: boolean;
            automatic: boolean;
        };
        Me: {
            employeeUserId: string | null;
            name: string | null;
            email: string | null;
            organization: components["schemas"]["MyOrganization"];
            permissions: string[];
            businesses: components["schemas"]["MyBusiness"][];
            employees: components["schemas"]["Colleague"][];
            streamPosition: number;
        };
        MyBusiness: {
            businessId: string;
            name: string;
            brandColor: string | null;
            active: boolean;
            permissions: string[];
        };
        MyOrganization: {
            organizationId: string;
            name: string;
            requiresSecondFactor: boolean;
        };
        NotChanged: {
            customerThreadId: string;
            error: string;
        };
        OpenedConversation: {
            thread: components["schemas"]["InboxThread"];
            customer: components["schemas"]["InboxCustomer"] | null;
            messages: components["schemas"]["ThreadMessage"][];
            hasMore: boolean;
            readSequence: number;
            customerReadSequence: number;
            drafts: components["schemas"]["DraftOut"][];
            scheduledMessages: components["schemas"]["ScheduledMessageOut"][];
            activities: components["schemas"]["ActivityOut"][];
            viewers: components["schemas"]["ViewerOut"][];
            isMessagingWindowOpen: boolean;
            otherThreads: components["schemas"]["InboxThread"][];
            possibleDuplicates: components["schemas"]["PossibleSame"][];
            streamPosition: number;
        };
        PossibleSame: {
            customerId: string;
            displayName: string;
        };
        PublishableKeyOut: {
            id: string;
            key: string;
            businessId: string | null;
            allowedOrigins: string[];
            createdAt: number;
            revokedAt: number | null;
        };
        PublishableKeys: {
            publishableKeys: components["schemas"]["PublishableKeyOut"][];
        };
        SavedReplies: {
            savedReplies: components["schemas"]["SavedReplyOut"][];
            variables: string[];
            nextCursor: string | null;
        };
        SavedReplyOut: {
            savedReplyId: string;
            shortcut: string;
            title: string;
            text: string;
            businessId: string | null;
            attachments: components["schemas"]["LinkedAttachment"][];
            updatedAt: number;
        };
        SavedViewCount: {
            savedViewId: string;
            count: number;
        };
        SavedViewOut: {
            savedViewId: string;
            name: string;
            query: string;
            shared: boolean;
            employeeUserId: string | null;
            updatedAt: number;
        };
        SavedViews: {
            savedViews: components["schemas"]["SavedViewOut"][];
            nextCursor: string | null;
        };
        ScheduledMessageOut: {
            scheduledMessageId: string;
            customerThreadId: string;
            employeeUserId: string | null;
            text: string;
            contentSid: string | null;
            attachmentId: string | null;
            channel: ("WEB" | "EMAIL" | "SMS" | "WHATSAPP") | null;
            resolve: boolean;
            createdAt: number;
            sendAt: number;
            /** @enum {string} */
            state: "scheduled" | "sent" | "cancelled" | "refused";
            reason: ("answered" | "window-closed" | "customer-erased" | "not-permitted" | "elsewhere" | "error") | null;
            messageId: string | null;
        };
        ScheduledMessages: {
            scheduledMessages: components["schemas"]["ScheduledMessageOut"][];
            nextCursor: string | null;
        };
        SurveyAnswer: {
            createdAt: number;
            text: string;
        };
        TagOut: {
            tagId: string;
            name: string;
            color: string | null;
            createdAt: number;
        };
        Tags: {
            tags: components["schemas"]["TagOut"][];
            nextCursor: string | null;
        };
        ThreadMessage: {
            id: string;
            sequence: number;
            text: string;
            fromCustomer: boolean;
            internal: boolean;
            employeeUserId: string | null;
            contentSid: string | null;
            externalId: string | null;
            attachment: components["schemas"]["LinkedAttachment"] | null;
            channel: ("WEB" | "EMAIL" | "SMS" | "WHATSAPP") | null;
            deliveries: components["schemas"]["Delivery"][];
            mail: components["schemas"]["MailFacts"] | null;
            createdAt: number;
        };
        Undone: {
            actionId: string;
            reversed: number;
            skipped: number;
            skippedThreads: components["schemas"]["NotChanged"][];
            position: number;
        };
        ViewCounts: {
            "needs-reply": number;
            mine: number;
            unassigned: number;
            mentions: number;
            snoozed: number;
            open: number;
        };
        ViewerOut: {
            employeeUserId: string;
            /** @enum {string} */
            state: "viewing" | "writing";
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type ActivityOut = components['schemas']['ActivityOut'];
export type BulkDone = components['schemas']['BulkDone'];
export type BusinessCount = components['schemas']['BusinessCount'];
export type Colleague = components['schemas']['Colleague'];
export type CustomerDatum = components['schemas']['CustomerDatum'];
export type Delivery = components['schemas']['Delivery'];
export type DraftOut = components['schemas']['DraftOut'];
export type EarlierMessages = components['schemas']['EarlierMessages'];
export type FirstSteps = components['schemas']['FirstSteps'];
export type InboxAction = components['schemas']['InboxAction'];
export type InboxCounts = components['schemas']['InboxCounts'];
export type InboxCustomer = components['schemas']['InboxCustomer'];
export type InboxThread = components['schemas']['InboxThread'];
export type InboxThreads = components['schemas']['InboxThreads'];
export type Invited = components['schemas']['Invited'];
export type LastSurveys = components['schemas']['LastSurveys'];
export type LinkedAttachment = components['schemas']['LinkedAttachment'];
export type MailFacts = components['schemas']['MailFacts'];
export type Me = components['schemas']['Me'];
export type MyBusiness = components['schemas']['MyBusiness'];
export type MyOrganization = components['schemas']['MyOrganization'];
export type NotChanged = components['schemas']['NotChanged'];
export type OpenedConversation = components['schemas']['OpenedConversation'];
export type PossibleSame = components['schemas']['PossibleSame'];
export type PublishableKeyOut = components['schemas']['PublishableKeyOut'];
export type PublishableKeys = components['schemas']['PublishableKeys'];
export type SavedReplies = components['schemas']['SavedReplies'];
export type SavedReplyOut = components['schemas']['SavedReplyOut'];
export type SavedViewCount = components['schemas']['SavedViewCount'];
export type SavedViewOut = components['schemas']['SavedViewOut'];
export type SavedViews = components['schemas']['SavedViews'];
export type ScheduledMessageOut = components['schemas']['ScheduledMessageOut'];
export type ScheduledMessages = components['schemas']['ScheduledMessages'];
export type SurveyAnswer = components['schemas']['SurveyAnswer'];
export type TagOut = components['schemas']['TagOut'];
export type Tags = components['schemas']['Tags'];
export type ThreadMessage = components['schemas']['ThreadMessage'];
export type Undone = components['schemas']['Undone'];
export type ViewCounts = components['schemas']['ViewCounts'];
export type ViewerOut = components['schemas']['ViewerOut'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
