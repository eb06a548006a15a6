//! What people in a room see, a module an action.

mod ping;
