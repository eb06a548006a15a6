//! Every limit of the server's, once, with its unit in its name. Those of the wire, which clients keep too, are in [`wire::limits`].

use std::time::Duration;

use wire::limits::CONTENT_CHARS_MAX;

// ---- the log ---------------------------------------------------------------------------------------------------------

/// What a line of the log has of a frame's action at most.
pub const ACTION_CHARS_LOGGED: usize = 64;

// ---- pushes ----------------------------------------------------------------------------------------------------------

/// Pushes that one function sends at the same time.
pub const PUSHES_AT_ONCE: usize = 64;
/// Of how many conversations one `sync` asks the log itself whether it goes on.
pub const SYNC_TAILS_MAX: usize = 25;
/// How many groups that the user has left one `sync` names.
pub const SYNC_LEFT_MAX: usize = 1_000;
/// Of how many conversations that can't be read one `sync` says so.
pub const SYNC_UNREADABLE_MAX: usize = 100;
/// To how many people one request pushes by itself.
pub const TOLD_MAX: usize = 32;
/// How often one push is tried when the gateway is busy and nothing tries it again later: answers, pages, what isn't kept.
pub const PUSH_ATTEMPTS_MAX: u32 = 4;
/// How often a message is pushed before it is left to the queue.
pub const PUSH_ATTEMPTS_BEFORE_QUEUE: u32 = 2;
/// The longest wait before a push is tried again; it doubles each time.
pub const PUSH_BACKOFF: Duration = Duration::from_millis(200);
/// How long one push may take.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a `typing` is shown without another.
pub const TYPING_LIFE: Duration = Duration::from_secs(6);

// ---- the queue of failed pushes --------------------------------------------------------------------------------------

/// How often a push is received from the queue until it is dead-lettered: about four minutes in all, eight at most. `template.yaml` has
/// the same as `maxReceiveCount`, for what the function had no time to dead-letter itself.
pub const DELIVER_RECEIVES_MAX: u32 = 8;
/// The longest wait after a push has failed once more; it doubles each time.
pub const DELIVER_BACKOFF: Duration = Duration::from_secs(4);
/// How many instances work the queue off at the same time: `MaximumConcurrency` in `template.yaml`.
pub const DELIVER_AT_ONCE: u32 = 5;
/// What one `SendMessageBatch` takes.
pub const QUEUE_BATCH_MAX: usize = 10;
/// How long one attempt of a call to the queue may take.
pub const QUEUE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a call to the queue may take with its retries.
pub const QUEUE_CALL_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How often the SDK tries a call to the queue.
pub const QUEUE_ATTEMPTS_MAX: u32 = 2;

// ---- connections and tokens ------------------------------------------------------------------------------------------

/// How much longer than its `exp` a token is taken for good: clocks differ.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(5);
/// How far ahead a token may end. One whose `exp` counts milliseconds would be good for 50,000 years.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The longest token that is read in a header. API Gateway takes 10,240 bytes of a request's line and headers:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The longest token that is read in the query. API Gateway takes addresses of 4,096 characters:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>.
pub const TOKEN_QUERY_BYTES_MAX: usize = 3_800;
/// How many of the keys that fit a token, by their names and their algorithm, are tried.
pub const KEYS_TRIED_MAX: usize = 16;
/// The shortest HS256 secret: as long as the hash, RFC 7518 section 3.2.
pub const SECRET_BYTES_MIN: usize = 32;
/// How long a fetched secret is good: so long, at most, a version that was taken away goes on being good. In the second half of
/// it the secret is fetched again.
pub const SECRET_LIFE: Duration = Duration::from_secs(300);
/// The least time between two fetches of the secret, whatever signatures the tokens have, and also where one has failed.
pub const SECRET_REFETCH_AFTER: Duration = Duration::from_secs(10);
/// How much two clocks may differ. A time further in the future than its rule could have set, and this, was set by a clock
/// that was wrong, and isn't believed.
pub const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(5);
/// A connection is taken for dead after this: API Gateway ends each after 2 h, and clocks differ.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(2 * 3_600 + 600);
/// How long a new connection may answer 410 because `$connect`, 10 s at most, has not returned yet; clocks differ.
pub const CONNECT_GRACE: Duration = Duration::from_secs(30);
/// The most live connections of one user. Each costs about 100 bytes of the PRESENCE item.
pub const CONNECTIONS_MAX: usize = 50;
/// How long fetched signing keys are good: so long, at most, one that was taken away goes on being good. In the second half of
/// it they are fetched again.
pub const JWKS_LIFE: Duration = Duration::from_secs(3_600);
/// The least time between two fetches of signing keys, whatever the tokens say, and also where one has failed.
pub const JWKS_REFETCH_AFTER: Duration = Duration::from_secs(30);
/// How long fetching the signing keys may take, from connecting to the document's last byte.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest document of signing keys that is read.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

// ---- requests of one user -------------------------------------------------------------------------------------------

/// How many requests that are no sends one user may make per second in the long run, as one process counts them. Nobody who makes fewer
/// is refused; who makes more may be, as others of their requests go to other processes.
pub const REQUESTS_PER_SECOND: u32 = 50;
/// How many at once: a client that comes back asks for much.
pub const REQUESTS_AT_ONCE: u32 = 200;

// ---- blocks ----------------------------------------------------------------------------------------------------------

/// The most people that one user blocks.
pub const BLOCKS_MAX: usize = 1_000;
/// The most pages that are read of one user's blocks, for a page of the list or to count them: what was taken back stands among them.
pub const BLOCK_PAGES_MAX: u32 = 8;

// ---- a send ----------------------------------------------------------------------------------------------------------

/// The most sends of one user that are open at once. Each is about 190 bytes of the ACCOUNT item.
pub const OPEN_MAX: usize = 128;
/// Finished sends are dropped from `open` when it holds this many, if no claim has dropped them: so that ACCOUNT stays below 1 KB,
/// one write unit.
pub const DROP_BATCH: usize = 4;
/// The most pages of 1 MB that are read of one user's RECEIPTs to find the highest time-ordered id, after an earlier version
/// has dropped. Each has about 4,000 RECEIPTs; with more of other ids in front, this user's sends go the longer way.
pub const UPTO_PAGES_MAX: u32 = 8;
/// How many sends, how many conversations, and how many people who ask, a process remembers. With one more it forgets them all, and
/// begins anew.
pub const REMEMBERED_MAX: usize = 10_000;
/// How often a send looks again because sends were dropped between its look and its claim.
pub const LOOKS_MAX: u32 = 24;
/// How often a claim is tried with one look (the rate's three forms, what was dropped meanwhile, a balance that settling has raised).
pub const CLAIMS_PER_LOOK_MAX: u32 = 6;
/// How many slots of a log one walk looks at before it leaves the rest to a retry or the sweep.
pub const WALK_SLOTS_MAX: u64 = 2_000;
/// How many slots one query of a walk asks for.
pub const WALK_PAGE_SLOTS: u32 = 250;
/// After this an open send is the sweep's: it finishes it, or voids it. Patience, not safety.
pub const VOID_AFTER: Duration = Duration::from_secs(60);
/// Whoever has sent something in this time is likely to go on: the sweep leaves their account listed, with the sends that have
/// ended, and only looks at it. Each look reads 2 units and seldom more; to drop and to list again writes 3, so as much as 7 looks.
pub const LIVELY: Duration = Duration::from_secs(300);

// ---- groups ----------------------------------------------------------------------------------------------------------

/// The most memberships and tombstones that are kept of one group: each message reads them.
pub const GROUP_MEMBERS_KEPT_MAX: usize = 1_000;
/// How many requests an item remembers that have changed it. Each is about 60 bytes.
pub const REQUESTS_REMEMBERED: usize = 8;
/// How often a change of a membership, of a name or of a count is tried while others change the same.
pub const CHANGES_MAX: u32 = 16;
/// The longest wait before it is tried again; it doubles each time, up to eight times.
pub const CHANGE_BACKOFF: Duration = Duration::from_millis(10);
/// How many memberships of one group are put at the same time.
pub const MEMBERS_AT_ONCE: usize = 16;
/// After this what follows from a change of a membership is the sweep's to do. Patience, not safety.
pub const MEMBER_PATIENCE: Duration = Duration::from_secs(60);
/// How long it is remembered that somebody has left a group: a late repeat of what came before changes nothing.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// How often the sweep looks whether a group whose creation has stopped was made whole by a repeat.
pub const GROUP_LOOK_EVERY: Duration = Duration::from_secs(600);
/// The most groups that somebody has left of which tombstones are kept: each `sync` reads them.
pub const GROUPS_LEFT_MAX: usize = 500;
/// After this a group whose creation has stopped half-way is given up.
pub const GROUP_WHOLE_WITHIN: Duration = Duration::from_secs(86_400);

// ---- the ledger ------------------------------------------------------------------------------------------------------

/// Earnings that are folded into a balance by one write. `BatchGetItem` takes 100; 40 ids keep ACCOUNT small.
pub const SETTLE_BATCH: usize = 40;
/// So long the sweep leaves earnings to whoever asks for the balance, or spends from it. Then it folds them: many with the two
/// writes that one would cost.
pub const FOLD_AFTER: Duration = Duration::from_secs(300);
/// How many of the newest lines of a ledger are read before somebody is told that the coins don't suffice.
pub const SETTLE_NEWEST: u32 = 100;
/// Rounds that one settling makes; each folds up to [`SETTLE_BATCH`] earnings.
pub const SETTLE_ROUNDS_MAX: u32 = 50;

// ---- scheduled work --------------------------------------------------------------------------------------------------

/// How many parts the index's work is spread over. A partition takes 1,000 write units per second.
pub const WORK_SHARDS: u64 = 16;
/// How many rows of a shard whoever walks through the index asks for at once.
pub const WORK_PAGE: u32 = 100;
/// How many accounts, or other things, a sweep looks after at the same time.
pub const SWEEP_AT_ONCE: usize = 64;
/// How long before its end a sweep begins nothing new: what is under way must end in this.
pub const SWEEP_STOPS_BEFORE: Duration = Duration::from_secs(10);
/// How long a conversation stays marked as waiting after its last new mark, before the sweep asks whether it still waits.
pub const WAITING_MARK_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// The most index rows that `buffer-stats` counts of each kind.
pub const STATS_ROWS_MAX: usize = 10_000;
/// The most pages of 1 MB that are read of one user's conversations (about 5,000 conversations each).
pub const INBOX_PAGES_MAX: u32 = 16;

// ---- the archive -----------------------------------------------------------------------------------------------------

/// The most messages of one segment.
pub const SEGMENT_MESSAGES_MAX: usize = 1_000;
/// Where fewer messages are due than this they wait for more: so moving one costs hardly more than deleting it.
pub const SEGMENT_MESSAGES_MIN: usize = 100;
/// The most bytes of one segment's text, before it is compressed; one message may go beyond.
pub const SEGMENT_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a segment's text that are read: with the longest message at its end.
pub const SEGMENT_TEXT_BYTES_MAX: usize = SEGMENT_BYTES_MAX + CONTENT_CHARS_MAX * 6 + 4 * 1024;
/// The largest object that is read. What can't be compressed becomes hardly longer.
pub const OBJECT_BYTES_MAX: usize = SEGMENT_TEXT_BYTES_MAX + 64 * 1024;
/// How much longer than it must a message stays in the table at the most, until it is moved with few others.
pub const ARCHIVE_PATIENCE: Duration = Duration::from_secs(30 * 86_400);
/// How long a message stays in the table after it has moved: whoever read META before is no more, and none of their
/// requests can arrive. A function lives 15 minutes at most, a signed request as long.
pub const DELETE_AFTER: Duration = Duration::from_secs(20 * 3_600);
/// The wait after a call that deletes messages, [`BATCH_WRITE_ITEMS_MAX`] of one conversation: 500 per second at most.
pub const DELETE_PAUSE: Duration = Duration::from_millis(50);
/// How many messages are deleted before it is written down how far that has come.
pub const DELETE_MARK_EVERY: u64 = 1_000;
/// How often the cleanup looks at a conversation in which nothing is due.
pub const CLEANUP_LOOK_EVERY: Duration = Duration::from_secs(7 * 86_400);
/// How many conversations a cleanup works on at the same time. Each takes a few segments' bytes.
pub const CLEANUP_AT_ONCE: usize = 8;
/// How long before its end a cleanup begins nothing new: what is under way must end in this.
pub const CLEANUP_STOPS_BEFORE: Duration = Duration::from_secs(90);
/// The most segments that one page of history is read from; what is behind them is the next page.
pub const HISTORY_SEGMENTS_MAX: usize = 4;
/// How long one attempt of a call to S3 may take.
pub const ARCHIVE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call to S3 may take with its retries.
pub const ARCHIVE_CALL_TIMEOUT: Duration = Duration::from_secs(7);
/// How often the SDK tries a call to S3.
pub const ARCHIVE_ATTEMPTS_MAX: u32 = 3;

// ---- verify ----------------------------------------------------------------------------------------------------------

/// The items of one page of a scan: what they name is asked for in batches of 100 at the same time.
pub const VERIFY_PAGE_ITEMS: u32 = 1_000;
/// How many conversations, accounts and so on are checked at the same time. Each takes a segment's messages at most.
pub const VERIFY_AT_ONCE: usize = 8;
/// A slice's report is full with this many findings; what one page has is told to its end.
pub const VERIFY_FINDINGS_MAX: usize = 500;
/// Nothing is begun any more when less than this is left of a function's time: a page's last account may have a long ledger.
pub const VERIFY_RESERVE: Duration = Duration::from_secs(120);
/// A send, or a line of a ledger, that is older than this has ended in whatever way: the sweep comes every minute.
pub const VERIFY_SETTLED_AFTER: Duration = Duration::from_secs(3_600);
/// The longest order, as JSON: its cursor holds a key, 3,072 bytes at most, of which each may need two.
pub const VERIFY_ORDER_BYTES_MAX: usize = 8 * 1024;
/// How often an account that changes meanwhile is added up.
pub const VERIFY_READS_MAX: u32 = 3;
/// How many segments one query asks for.
pub const VERIFY_SEGMENTS_PAGE: u32 = 100;
/// How many messages one query of a log asks for, contents included.
pub const VERIFY_LOG_PAGE: usize = 250;

// ---- calls -----------------------------------------------------------------------------------------------------------

/// How long connecting to DynamoDB or API Gateway may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one attempt of a DynamoDB call may take.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a DynamoDB call may take with its retries.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// How often the SDK tries a DynamoDB call.
pub const CALL_ATTEMPTS_MAX: u32 = 4;
/// How often a batch is asked for again for what DynamoDB left unprocessed.
pub const BATCH_ROUNDS_MAX: u32 = 8;
/// The longest wait before it is asked for again; it doubles each time.
pub const BATCH_BACKOFF: Duration = Duration::from_millis(40);
/// What one `BatchGetItem` takes.
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// What one `BatchWriteItem` takes.
pub const BATCH_WRITE_ITEMS_MAX: usize = 25;
/// How long opening connections before the first event may take. Init has 10 s, and whoever waits for it waits for this.
pub const WARM_TIMEOUT: Duration = Duration::from_secs(1);
