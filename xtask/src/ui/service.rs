//! Whose stages are reported, where several services go side by side.

tokio::task_local! {
    static NAME: String;
}

/// Does some work whose stages are those of this service.
pub async fn of_service<T>(name: &str, work: impl Future<Output = T>) -> T {
    NAME.scope(name.to_owned(), work).await
}

/// The service whose work this is, if there are several.
pub(super) fn current() -> Option<String> {
    NAME.try_with(Clone::clone).ok()
}
