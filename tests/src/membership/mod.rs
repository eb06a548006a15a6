//! A group's membership, explored exhaustively: who is in, who is told, who is shown what, how many they are and who is an
//! admin. It is tried in every order of requests that a few processes can have.
//!
//! It came first, and the code was written against it. What it is like is what [`model`](super::model) is like: a state is
//! the table, the devices, and where each process is; a step is one request, a read or a conditional write, with what its
//! caller decides from the answer.
//!
//! | here | stands for |
//! |---|---|
//! | `store` | what `shared::store` holds of a group: META, MEMBER, INBOX, TAIL, LOG; and what a device has |
//! | `write` | what `shared::store` writes, each with its condition |
//! | `step` | where a process can be |
//! | `change` | what `functions/groups` does: `createGroup`, `updateGroup`, `leaveGroup`; how the sweep gives a group up |
//! | `effects` | what follows from a change: INBOX, telling, the count, the admin; what the sweep does |
//! | `send` | what `functions/send` does in a group, and the sweep of sends |
//! | `device` | what a client does: it connects, syncs, is told, asks for a page, marks |
//! | `check` | what must hold: at every step, and once the world is quiet |
//! | `configurations` | who takes part |
//! | `mutants` | the same without one guard, or in another order: each must be caught |
//!
//! What can go wrong is what can go wrong there: death anywhere, lost replies, requests that the SDK repeats and that arrive
//! late, processes that pause for however long, reads of many items that are no snapshot, an index that is behind. A push
//! arrives when it is sent, which may be long after what it was sent for was read.
//!
//! **What it asks for.** Whoever is out when a send is decided is never shown its message, unless somebody has begun to add
//! them before it got its number. A person sees nothing below their `first_seq`. A request changes a membership once, however
//! often and late it is repeated. Nobody is told of a group that isn't whole. Nobody is made an admin while there always was
//! one. Once quiet: a device that is connected and has synced shows the group if its person is in, with all messages from
//! `first_seq` on, and doesn't if they are out; INBOX says what MEMBER says; a mark isn't lost; META has the count; a group
//! with members has an admin; nothing is due.
//!
//! **What it doesn't ask for.** Who was read as a member, and is removed just then, may still decide a send or a change of the
//! group: no write has a condition on two items. It ends with the function's time. And a message that was decided before a
//! removal may be pushed after `conversation:left`, which may come twice.
//!
//! **Two ways to tell a device.** What it is told carries the membership's version, and it heeds nothing older. Or what it is
//! told is a hint without a version, and it syncs again at each: some configurations try that. One of both is needed, as a
//! push may be late.
//!
//! **What it takes as given.** What [`model`](super::model) shows of sends: a claim is made once, whoever tries, and each claim
//! gets one number. So ACCOUNT and RECEIPT are one item here, and publishing is one step.
//!
//! What is left out: more than three people, and the slices in which larger groups are pushed; that MEMBER and META remember
//! only the last few requests, and that a tombstone ends some day; the maximum; avatars; blocking; notifications; hiding; a
//! device that disconnects; changes of a message; the archive. Of the order of effects one is tried, INBOX, telling, count,
//! index; another process that does the same may be at any other of them.
//!
//! The small configurations and all mutants run with `cargo test -p tests --test model`; the large ones with
//! `cargo run -p tests --release --bin model`.

mod change;
mod check;
mod configurations;
mod device;
mod effects;
mod mutants;
mod send;
mod state;
mod step;
mod store;
mod write;

pub use configurations::{Configuration, configurations};
pub use mutants::Mutant;
pub use state::explore;
