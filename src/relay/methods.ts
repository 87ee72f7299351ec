/** What both halves of the relay agree on, beside their messages. */
export const RELAY_METHODS = {
  enroll: "/causeway.relay.TrustRelay/Enroll",
  renew: "/causeway.relay.TrustRelay/Renew",
  follow: "/causeway.relay.TrustRelay/Follow",
} as const;

/** Each end says something this often, if only that it is there. */
export const RELAY_PING_MS = 20_000;
/** A stream on which nothing came for this long is dead, whatever its socket says. */
export const RELAY_SILENCE_MS = 60_000;

/** Why a call was refused, in one word, for callers that act on it: the header `causeway-reason`. */
export const RELAY_REFUSALS = [
  "TokenMalformed",
  "TokenUnknown",
  "TokenExpired",
  "TokenUsed",
  "TokenRevoked",
  "OtherCluster",
  "NotRegistered",
  "NoCertificate",
  "CertificateVoid",
  "TooMany",
  "Replaced",
  "Silent",
] as const;
export type RelayRefusal = (typeof RELAY_REFUSALS)[number];
