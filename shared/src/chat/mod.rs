//! What handlers do together: one message's way ([`send`]), who is in a conversation and how it looks ([`conversation`]), pages
//! of messages wherever they are ([`history`]), what waits for whom ([`waiting`]), and whether all that is kept is as it must
//! be ([`verify`]).

pub mod conversation;
pub mod history;
pub mod send;
pub mod verify;
pub mod waiting;
