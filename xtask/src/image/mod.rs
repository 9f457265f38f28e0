//! From the source tree to an image: tag, build context, build through the Docker Engine API.

pub mod engine;
