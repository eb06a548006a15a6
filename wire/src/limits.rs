//! The limits of the wire, with the unit in each name.

// ---- what a client may say -------------------------------------------------------------------------------------------

/// The longest user id (`sub` of the token). Keeps every key far below DynamoDB's 2,048 bytes.
pub const USER_ID_BYTES_MAX: usize = 128;
/// The longest `clientMessageId`, `requestId`, `device` and `idempotencyKey`.
pub const CLIENT_ID_CHARS_MAX: usize = 64;
/// The longest `conversationId` that is looked up. Ours have 29.
pub const CONVERSATION_ID_CHARS_MAX: usize = 64;
/// The longest message.
pub const CONTENT_CHARS_MAX: usize = 10_000;
/// The longest reason: of a top-up, for the log.
pub const REASON_CHARS_MAX: usize = 500;
/// The largest page that may be asked for.
pub const PAGE_ITEMS_MAX: u32 = 100;
/// The page that is sent when no limit was given.
pub const PAGE_ITEMS_DEFAULT: u32 = 50;
/// The most users that one `getPresence` or `getUsers` asks for. DynamoDB's `BatchGetItem` takes as many.
pub const USERS_ASKED_MAX: usize = 100;
/// The most conversations that one `markRead` or `markDelivered` names.
pub const MARKS_MAX: usize = 50;
/// The most people that are in one group.
pub const GROUP_MEMBERS_MAX: usize = 32;
/// The most groups that somebody is in. Soft: who is added to several at the same moment may be in more.
pub const GROUPS_MAX: usize = 500;
/// The longest name of somebody, or of a group.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest address of a picture, somebody's or a group's.
pub const AVATAR_BYTES_MAX: usize = 256;
/// The most conversations that `since` of one `sync` may name. A frame of 128 KB holds no more.
pub const SYNC_SINCE_MAX: usize = 4_096;
/// The longest cursor that is read. Its position, three quarters as long, may be asked for as a sort key: 1,024 bytes at most.
pub const CURSOR_CHARS_MAX: usize = 1_024;
/// The most coins that a price, a top-up or a balance may be: what a JavaScript client can count exactly (2^53 - 1).
pub const COINS_MAX: u64 = 9_007_199_254_740_991;

// ---- what a client is sent -------------------------------------------------------------------------------------------

/// API Gateway's limit for one WebSocket message, also for `@connections`:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// The longest text of an error. It quotes what the client sent, and must fit a frame itself.
pub const ERROR_TEXT_CHARS_MAX: usize = 300;
/// A page ends before its items reach this: the frame's envelope needs the rest.
pub const PAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 4 * 1024;
/// The most messages that one `sync` sends before it says `complete: false`.
pub const SYNC_MESSAGES_MAX: usize = 1_000;
