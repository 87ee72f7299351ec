/** Words that make a value a secret when the name ends in them, or has them and does not say that it is something else. */
const SECRET_WORDS =
  /(?:password|passwd|passphrase|passcode|secret|token|tokens|credential|credentials|apikey|secretkey|accesskey|privatekey|clientsecret|authorization|cookie)$/;
const SHORT_SECRET_WORDS: ReadonlySet<string> = new Set(["pwd", "pass", "psk", "otp"]);
/** A key is secret by what it is of; a bare `key` is mostly a name. */
const KEY_OWNERS: ReadonlySet<string> = new Set([
  ...["api", "access", "private", "secret", "client", "encryption", "signing", "master", "account", "shared"],
  ...["storage", "ssh", "hmac", "session", "license", "server", "tls", "ca", "host"],
]);
/** What a name may say after it without being about something else. */
const MERE_SUFFIX =
  /^(?:\d+|v\d+|hash|value|text|data|string|base64|b64|plain|raw|old|new|current|previous|prod|dev|env|pem|primary|secondary)$/;
/** The name is of something about the secret, which may be told. */
const ABOUT: ReadonlySet<string> = new Set([
  ...[
    "name",
    "names",
    "file",
    "files",
    "path",
    "paths",
    "dir",
    "folder",
    "ref",
    "refs",
    "ttl",
    "seconds",
    "ms",
    "hours",
  ],
  ...["expiry", "expires", "expired", "expiration", "issuer", "issuers", "audience", "audiences", "url", "uri"],
  ...[
    "endpoint",
    "id",
    "ids",
    "type",
    "types",
    "count",
    "total",
    "policy",
    "policies",
    "provider",
    "review",
    "reviews",
    "namespace",
  ],
  ...["length", "size", "age", "lifetime", "created", "rotation", "source", "sources", "mode", "enabled", "required"],
  ...[
    "projection",
    "controller",
    "bytes",
    "version",
    "mounts",
    "volume",
    "class",
    "store",
    "kind",
    "hint",
    "algorithm",
  ],
  ...[
    "format",
    "header",
    "headers",
    "prefix",
    "manager",
    "lookup",
    "request",
    "requests",
    "changed",
    "agent",
    "renewed",
  ],
  ...[
    "usage",
    "usages",
    "at",
    "by",
    "rules",
    "rule",
    "error",
    "errors",
    "problem",
    "problems",
    "state",
    "status",
    "for",
  ],
  ...["location", "locations", "params", "bucket", "limit", "max", "min", "resource", "resources"],
]);

/**
 * True if what a field, a variable, a header or a flag of this name holds is to be kept from readers, as `DB_PASSWORD`,
 * `client-key-data` or `idToken`; false for what only is about one, as `tokenFile` or `secretName`.
 */
export function isSecretName(name: string): boolean {
  // Names of types, as debug pages list them.
  if (name.startsWith("type.googleapis.com/")) return false;
  const words = wordsOf(name);
  while (words.length > 1 && MERE_SUFFIX.test(words.at(-1)!)) words.pop();
  const last = words.at(-1) ?? "";
  if (isSecretWord(last)) return true;
  if (last === "key" || last === "keys") return KEY_OWNERS.has(words.at(-2) ?? "") || words.some(isSecretWord);
  return !ABOUT.has(last) && words.some(isSecretWord);
}

/** True where even a plain word is believed to be the secret, as in a line of a log that says `password: swordfish`. */
export const isPasswordName = (name: string): boolean => /pass(?:word|wd|phrase|code)|pwd|passwd/i.test(name);

const isSecretWord = (word: string): boolean => SECRET_WORDS.test(word) || SHORT_SECRET_WORDS.has(word);

const wordsOf = (name: string): string[] =>
  name
    .slice(0, 200)
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
