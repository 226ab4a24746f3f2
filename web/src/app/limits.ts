/** `MESSAGE_MAX_CHARACTERS` in conversations/message_text.py of the server. It counts code points. */
export const MESSAGE_MAX_CHARACTERS = 10_000

/** `FILES_MAX` in inbox/files.py of the server: the files of a draft. */
export const FILES_MAX = 10
