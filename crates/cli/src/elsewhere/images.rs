//! Flags of docker's and podman's commands for images.

use super::{Foreign, NOT_SIGNED, foreign};

const NOTHING_TO_DISABLE: Foreign = foreign(
    &["--disable-content-trust"],
    NOT_SIGNED,
    Some("there is nothing to disable; leave it out"),
);
const RETRY_DELAY: Foreign =
    foreign(&["--retry-delay"], "a registry says when to try again, or the pauses double", None);
const DECRYPTION: Foreign = foreign(&["--decryption-key"], "layers are not decrypted", None);
const ENCRYPTION: Foreign =
    foreign(&["--encryption-key", "--encrypt-layer"], "layers are not encrypted", None);
const SIGNING: Foreign = foreign(
    &[
        "--sign-by",
        "--sign-by-sigstore",
        "--sign-by-sigstore-private-key",
        "--sign-by-sq-fingerprint",
        "--sign-passphrase-file",
    ],
    "nothing is signed yet",
    Some("other tools can sign what is in the registry, by its digest"),
);
const INSECURE: Foreign = foreign(
    &["--insecure"],
    "it is docker's word for registries that are not trusted",
    Some("--tls-verify=false is podman's and dhow's"),
);
const NO_PRUNE: Foreign = foreign(
    &["--no-prune"],
    "an image stands on no other images that could go with it",
    Some("leave it out"),
);
const ONE_PLATFORM: Foreign = foreign(
    &["--platform"],
    "an image here is for one platform",
    Some(
        "name the image of the other platform by its digest; `dhow pull --all-platforms` fetches all",
    ),
);
const AS_MANY: Foreign = foreign(
    &["--add-compression"],
    "an image is sent in one form of compression",
    Some("push it again under another tag with --compression-format"),
);
const FROM_LIST: Foreign = foreign(
    &["--compression-format", "--compression-level", "--force-compression"],
    "a list names its images by their digests, which another compression would change",
    Some("`dhow image copy --all --dest-compress-format FORMAT` converts a list with its images"),
);
const NO_LEFTOVERS: Foreign = foreign(
    &["--build-cache", "--build", "--external"],
    "nothing is built here, and no other program keeps its containers here",
    Some("leave it out"),
);

pub(super) const OF_PULL: &[Foreign] = &[NOTHING_TO_DISABLE, DECRYPTION];

pub(super) const OF_PUSH: &[Foreign] = &[
    NOTHING_TO_DISABLE,
    ENCRYPTION,
    SIGNING,
    AS_MANY,
    ONE_PLATFORM,
    foreign(
        &["--compress"],
        "it is for directories, and push sends to registries",
        Some("`dhow image copy --dest-compress IMAGE dir:DIR` writes one"),
    ),
];

pub(super) const OF_LIST: &[Foreign] = &[
    foreign(
        &["--history"],
        "which names an image once had is not kept",
        Some("`dhow events --filter event=tag` tells which it was given"),
    ),
    foreign(
        &["--tree"],
        "an image here is for one platform",
        Some("`dhow image tree` shows its layers"),
    ),
];

pub(super) const OF_REMOVE: &[Foreign] = &[NO_PRUNE, ONE_PLATFORM];

pub(super) const OF_SAVE: &[Foreign] = &[
    ONE_PLATFORM,
    foreign(
        &["--uncompressed"],
        "layers are as each form of archive has them: docker's has them uncompressed, OCI's as they came",
        Some("`dhow image copy --dest-decompress IMAGE oci-archive:FILE` uncompresses them"),
    ),
];

pub(super) const OF_LOAD: &[Foreign] = &[foreign(
    &["--platform"],
    "of an image for several platforms, this machine's is loaded",
    Some("`dhow image copy --platform OS/ARCH oci-archive:FILE dhow:NAME` takes another"),
)];

pub(super) const OF_HISTORY: &[Foreign] = &[ONE_PLATFORM];

pub(super) const OF_INSPECT: &[Foreign] = &[ONE_PLATFORM];

pub(super) const OF_PRUNE: &[Foreign] = &[NO_LEFTOVERS];

pub(super) const OF_CHECK: &[Foreign] = &[
    foreign(
        &["--force", "-f"],
        "what is damaged is healed or named, and no image goes unasked",
        Some("--repair heals; `dhow rmi` removes what cannot be"),
    ),
    foreign(
        &["--max", "-m"],
        "what is being made has an owner, and is debris only when that is dead, however young",
        Some("leave it out"),
    ),
];

pub(super) const OF_MANIFEST: &[Foreign] = &[
    RETRY_DELAY,
    SIGNING,
    AS_MANY,
    FROM_LIST,
    INSECURE,
    foreign(&["--remove-signatures"], "no signatures are sent with a list", Some("leave it out")),
    foreign(
        &["--purge", "-p"],
        "a list stays until it is removed",
        Some("`dhow manifest rm` removes it, --rm after it was pushed"),
    ),
    foreign(
        &[
            "--artifact",
            "--artifact-config",
            "--artifact-config-type",
            "--artifact-exclude-titles",
            "--artifact-layer-type",
            "--artifact-subject",
            "--artifact-type",
        ],
        "files become an artifact with `dhow artifact add`",
        Some("`dhow artifact push` sends it by itself"),
    ),
    foreign(
        &["--index", "--subject", "--annotation"],
        "a list has no annotations and no subject of its own here",
        Some("`dhow manifest annotate LIST IMAGE` annotates what it names"),
    ),
];

pub(super) const OF_ARTIFACT: &[Foreign] = &[RETRY_DELAY, DECRYPTION, SIGNING];
