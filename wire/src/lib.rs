//! The wire, version 1: what clients and servers say to each other. No AWS in here, and nothing that waits: clients and load
//! generators use it, too.
//!
//! In reading order: [`ids`] and [`values`], types that exist only if valid; [`requests`], one type per action, the table of all
//! [`actions`], and the [`frame`] that carries one, as it was [`written`]; [`events`] with the [`objects`] that they hold, the [`echo`] of what
//! they answer, and the [`server_frame`] as a client reads it; [`error`] codes; ids that are [`derived`] from others; [`limits`].

pub mod actions;
pub mod derived;
pub mod echo;
pub mod error;
pub mod events;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod objects;
pub mod requests;
pub mod server_frame;
pub mod values;
pub mod written;

pub use actions::{ACTIONS, Action, AskedBy};
pub use derived::{Fingerprint, SendId, direct_id, group_id, hash, kind_of};
pub use echo::Echo;
pub use error::{Code, Invalid};
pub use events::{ConversationUpdated, ERROR_EVENTS, Event, MarkOutcome, Marked, TransactionsList, error_frame};
pub use frame::Frame;
pub use ids::{
    ClientMessageId, ClientRequestId, ConnectionId, ConversationId, Device, IdempotencyKey, RequestId, UserId,
};
pub use objects::{
    Conversation, ErrorDetails, ErrorObject, GroupChange, Horizons, Kind, Member, Message, Open, Role, Status,
    Transaction, TransactionKind, User, UserPresence,
};
pub use requests::{
    BlockUser, CreateGroup, GetBalance, GetBlocked, GetConversation, GetConversations, GetMembers, GetMessages,
    GetOrCreateDirect, GetPresence, GetReceipts, GetTransactions, GetUsers, LeaveGroup, Mark, MarkDelivered, MarkRead,
    Marks, Mute, Ping, Request, SendMessage, Sync, Target, Typing, UnblockUser, UpdateGroup, UpdateProfile,
};
pub use server_frame::ServerFrame;
pub use values::{Avatar, Change, Coins, Content, Cursor, Limit, LogSlot, Name, Reason, Seq, Time};
pub use written::{parse, parse_body};
