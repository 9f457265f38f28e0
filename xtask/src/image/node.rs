//! The image of a rehearsal's cluster: this very program in the place of k3s, FROM scratch.
//!
//! The program is linked to libraries of this machine, which go in at their own paths, as the loader has them mapped; a
//! static build of everything would double what there is to compile. kubectl and a static busybox (`cat`, `sh`,
//! `base64`) are there because the cluster's owner administers it by running them inside.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bollard::{
    Docker, body_try_stream,
    query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures::TryStreamExt as _;
use tokio_util::io::ReaderStream;

use crate::{
    config::variables,
    error::{Error, Result},
};

/// What the owner runs beside kubectl.
const APPLETS: [&str; 4] = ["sh", "cat", "base64", "printf"];
/// Where kernels look for the loader of dynamic programs, by the name of its file.
const LOADERS: [(&str, &str); 2] =
    [("ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"), ("ld-linux-aarch64.so.1", "lib/ld-linux-aarch64.so.1")];

/// Makes the image, whose process keeps its state below `clusters`, a directory of this machine. `scratch` is a place for
/// the archive meanwhile.
///
/// # Errors
/// A program is missing, or the Engine refuses.
pub(crate) async fn make(docker: &Docker, name: &str, clusters: &Path, kubectl: &Path, scratch: &Path) -> Result<()> {
    let failed = |error: &dyn std::error::Error| Error::failed(format!("make the image {name}")).source(error);
    let path = scratch.join("node.tar");
    let busybox = variables::path().into_iter().map(|directory| directory.join("busybox")).find(|path| path.is_file());
    let busybox = busybox.ok_or_else(|| {
        Error::failed("a rehearsal's cluster needs a static busybox, and there is none on the PATH")
            .hint("install it: sudo apt-get install busybox-static")
    })?;
    let files = files(&busybox, kubectl).map_err(|error| failed(&error))?;
    pack(&path, &files).map_err(|error| failed(&error))?;
    let archive = tokio::fs::File::open(&path).await.map_err(|error| failed(&error))?;
    let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let clusters = clusters.display().to_string();
    let entry = serde_json::json!(["/slipway", "local", "node", "--directory", clusters, "--"]);
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .changes(vec![format!("ENTRYPOINT {entry}"), "ENV PATH=/bin KUBECONFIG=/etc/rancher/k3s/k3s.yaml".to_owned()])
        .build();
    let body = body_try_stream(ReaderStream::new(archive));
    let made = docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await;
    // Whether it was taken or not, it is of no more use.
    let _ = fs::remove_file(&path);
    made.map(drop).map_err(|error| failed(&error))
}

/// Removes the images of a rehearsal.
pub(crate) async fn remove(docker: &Docker, repository: &str) {
    let options = RemoveImageOptionsBuilder::new().force(true).build();
    // One that was never made is as good as one that is gone.
    let _ = docker.remove_image(&format!("{repository}:node"), Some(options), None).await;
}

/// Each file with its path in the image.
fn files(busybox: &Path, kubectl: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = vec![
        (PathBuf::from("bin/busybox"), busybox.to_owned()),
        (PathBuf::from("bin/kubectl"), kubectl.to_owned()),
        (PathBuf::from("slipway"), PathBuf::from("/proc/self/exe")),
    ];
    for library in libraries(&fs::read_to_string("/proc/self/maps")?) {
        let loader = LOADERS.iter().find(|(name, _)| library.ends_with(name));
        files.extend(loader.map(|(_, path)| (PathBuf::from(path), library.clone())));
        files.push((library.strip_prefix("/").unwrap_or(&library).to_owned(), library.clone()));
    }
    Ok(files)
}

/// The shared libraries of a process, the loader among them, by its memory map (proc(5)).
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| line.find('/').map(|at| line[at..].to_owned());
    let is_library = |path: &String| path.rsplit('/').next().is_some_and(|name| name.contains(".so"));
    maps.lines().filter_map(path).filter(is_library).map(PathBuf::from).collect()
}

fn pack(path: &Path, files: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(File::create(path)?));
    for (inside, outside) in files {
        let file = File::open(outside)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o755);
        archive.append_data(&mut header, inside, file)?;
    }
    for applet in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    archive.into_inner()?.into_inner()?.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_libraries_of_a_process() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f02-7f03 r-xp 00000000 fe:00 2 /lib/ld-linux-x86-64.so.2\n\
                    5500-5501 r-xp 00000000 fe:00 3 /work/xtask\n7ffe-7fff rw-p 00000000 00:00 0 [stack]\n";
        let found: Vec<_> = libraries(maps).into_iter().collect();
        assert_eq!(found, ["/lib/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"].map(PathBuf::from));
    }
}
