//! HTTP checks of the deployed service.
