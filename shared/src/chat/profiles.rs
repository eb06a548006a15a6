//! What people are called.

use std::collections::HashMap;

use wire::{Event, UpdateProfile, User, UserId};

use super::conversation::tell;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::store::profiles::Profile;

/// What these people are called, in the order that was asked for. Of who has set nothing, or whose profile can't be read now, only
/// the id.
///
/// # Errors
/// Those of the store.
pub async fn users(app: &App, ids: Vec<UserId>) -> Result<Vec<User>, Error> {
    let profiles: HashMap<UserId, Profile> = app.store.profiles(&ids).await?.read.into_iter().collect();
    let user = |id: UserId| {
        let profile = profiles.get(&id).cloned().unwrap_or_default();
        called(id, profile)
    };
    Ok(ids.into_iter().map(user).collect())
}

/// Sets what a user is called: the last one counts.
///
/// # Errors
/// Those of the store.
pub async fn update(app: &App, user: &UserId, update: &UpdateProfile) -> Result<User, Error> {
    Ok(called(user.clone(), app.store.profile_update(user, update).await?))
}

/// Tells a user's devices what the user is called now; but not the one whose connection got the answer.
pub async fn tell_profile(app: &App, user: User, answered: Option<&Caller>) {
    let told = [user.user_id.clone()];
    if let Err(error) = tell(app, &told, &Event::Profile { user }, answered).await {
        // It is kept; whoever asks sees it.
        tracing::warn!(%error, cause = error.cause(), "a profile could not be told");
    }
}

fn called(user_id: UserId, Profile { name, avatar, .. }: Profile) -> User {
    User { user_id, name, avatar }
}
