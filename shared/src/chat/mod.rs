//! What handlers do together: one message's way ([`send`]), what each kind of conversation answers ([`kinds`]), who is in one
//! ([`participants`]), who may see one and how it looks ([`conversation`]), how groups are made and changed ([`group`]),
//! pages of messages wherever they are ([`history`]), how far everybody is in them ([`inboxes`], [`marks`]) and who is told
//! of that ([`statuses`]), who is here ([`presence`]), what people are called ([`profiles`]), who blocks whom ([`blocks`]),
//! how earnings get into a balance ([`settle`]), what waits for whom ([`waiting`]), how what is due gets its turn
//! ([`turns`]), and whether all that is kept is as it must be ([`verify`]).

pub mod blocks;
pub mod conversation;
pub mod group;
pub mod history;
pub mod inboxes;
pub mod invariants;
pub mod kinds;
pub mod marks;
pub mod participants;
pub mod presence;
pub mod profiles;
pub mod send;
pub mod settle;
pub mod statuses;
pub mod turns;
pub mod verify;
pub mod waiting;
