//! The default name of a field manager.

/// What comes before the first slash of the User-Agent, as the API server takes it.
pub(super) fn from_user_agent(agent: &str) -> String {
    let name = agent.split('/').next().unwrap_or_default();
    name.chars().filter(|character| !character.is_control()).take(128).collect()
}
