//! What people in a room see: a module an action, and what must survive when things break. One binary: linking takes
//! longer than running.

mod admin;
mod aged;
mod any_input;
mod at_once;
mod bad_frames;
mod calls;
mod cleanup;
mod clocks;
mod connecting;
mod crashes;
mod deliver;
mod due;
mod each_rule;
mod get_balance;
mod get_conversations;
mod get_messages;
mod get_or_create_direct;
mod get_presence;
mod get_receipts;
mod get_transactions;
mod issuers_keys;
mod mark_read;
mod moved;
mod observed;
mod ping;
mod published_keys;
mod rate;
mod send_message;
mod sweep;
mod sync;
mod to_the_last;
mod typing;
mod verify;
mod walk;
mod wrong_types;
