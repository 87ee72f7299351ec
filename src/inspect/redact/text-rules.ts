import { markerOf, type SecretKind } from "./marker.ts";

/** Hears of each secret: its kind, and what it was if it is to be looked for elsewhere. */
export type Found = (kind: SecretKind, secret?: string) => void;

/** Secrets that are known by their own shape, wherever they stand. */
const SHAPES: readonly (readonly [SecretKind, RegExp])[] = [
  // JSON in base64 begins so; a dot, and what is signed. One that is cut short is one, too.
  ["token", /\be(?:yJ|yA|wo|w0K|yIg)[A-Za-z0-9_-]{8,}(?:\.|%2E)[A-Za-z0-9_-]{4,}(?:(?:\.|%2E)[A-Za-z0-9_-]*){0,3}/g],
  ["token", /causeway-relay-1\.[A-Za-z0-9_-]*/g],
  ["token", /(?<![\w.-])(?=[a-z0-9]{6}\.[a-z]*[0-9])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.-])/g],
  ["token", /\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,})/g],
  ["token", /\b(?:hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}\b|ya29\.[\w-]{20,}|AIza[\w-]{35})/g],
  ["access key", /\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA)[A-Z0-9]{12,}/g],
  ["access key", /\bLTAI[A-Za-z0-9]{12,}\b|\bDO_[A-Z0-9]{20,}\b/g],
];
const SCHEMES = "Bearer|Basic|Negotiate|Digest|NTLM|Token|AWS4-HMAC-SHA256|ApiKey|Hawk";
const SCHEME = new RegExp(String.raw`\b(${SCHEMES})((?:\s|\+|%20|\\t)+)(?!<redacted:)([A-Za-z0-9+/=._~:%-]{6,})`, "g");
const HEADER =
  /((?:proxy-)?authorization|(?:set-)?cookie2?|x-(?:api-key|vault-token|auth-token|amz-security-token|goog-api-key))(\\*["']?\s*(?:[:=]|=>)\s*\[?\\*["']?)(?!<redacted:)([^\r\n"'\\]{3,})/gi;
/** A scheme, a user, a password up to the last @ of the authority. */
const USER_INFO =
  /\b([a-z][a-z0-9+.-]{1,30}:(?:\/\/|\\\/\\\/))([^\s/:@"'<>\\]*)(:?)((?:[^\s/"'<>\\@]|@(?=[^\s/"'<>\\]*@))*)@/gi;
const QUERY =
  /([?&;](?:amp;)?)((?:[\w.-]|%5B|%5D)*(?:token|secret|passw|pwd|sig|signature|key|auth|code|credential)[\w.-]*)=(?!<redacted:)([^\s&"'<>\\#]+)/gi;
/** `openssl` prints the numbers of a key so. */
const PRINTED_KEY =
  /\b(priv(?:ate ?(?:key|exponent))?|prime\d?|exponent\d|coefficient)(:\s*(?:\\n|\n|\r)?\s*)((?:[0-9a-f]{2}:(?:\s|\\n)*){8,}[0-9a-f]{0,2})/gi;

export function redactShapes(text: string, found: Found): string {
  let redacted = text;
  for (const [kind, shape] of SHAPES)
    redacted = redacted.replace(shape, (secret) => (found(kind, secret), markerOf(kind)));
  return redacted.replace(PRINTED_KEY, (_, name: string, colon: string, secret: string) => {
    found("private key", secret);
    return `${name}${colon}${markerOf("private key")}`;
  });
}

export function redactHeaders(text: string, found: Found): string {
  const noted = (secret: string): string => {
    found("authorization", secret.replace(new RegExp(`^(?:${SCHEMES})\\s+`, "i"), ""));
    return markerOf("authorization");
  };
  return text
    .replace(HEADER, (_, name: string, between: string, secret: string) => `${name}${between}${noted(secret)}`)
    .replace(SCHEME, (whole, scheme: string, space: string, secret: string) =>
      // As in `Basic authentication`, which is a sentence.
      /^[A-Za-z]?[a-z]+[.:]?$/.test(secret) ? whole : `${scheme}${space}${noted(secret)}`,
    );
}

export function redactUrls(text: string, found: Found): string {
  const withoutUsers = !text.includes("@")
    ? text
    : text.replace(USER_INFO, (whole, scheme: string, user: string, colon: string, password: string) => {
        if (colon === "") return user.length < 16 ? whole : `${scheme}${noted("token", user, found)}@`;
        return password === "" ? whole : `${scheme}${user}:${noted("password", decoded(password), found)}@`;
      });
  return withoutUsers.replace(QUERY, (_, mark: string, name: string, secret: string) => {
    return `${mark}${name}=${noted("named secret", decoded(secret), found)}`;
  });
}

function noted(kind: SecretKind, secret: string, found: Found): string {
  found(kind, secret);
  return markerOf(kind);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
