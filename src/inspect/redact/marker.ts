/** What was taken out; only its kind is told. */
export type SecretKind =
  | "private key"
  | "token"
  | "password"
  | "authorization"
  | "access key"
  | "secret data"
  | "named secret"
  | "encoded"
  | "mentioned again";

/** What stands in place of a secret. It has no space and no quote, so it is one value in YAML, JSON, logs and URLs alike. */
export const markerOf = (kind: SecretKind): string => `<redacted:${kind.replace(/ /g, "-")}>`;

export const isMarker = (text: string): boolean => /^<redacted:[a-z-]+>$/.test(text);
