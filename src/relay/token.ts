import { hash } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs, Random } from "../host.ts";
import { type ClusterId, isClusterId } from "../names.ts";
import type { Fingerprint } from "./messages.ts";

/** What tokens begin with: a secret that lies around can be found by it. */
const PREFIX = "causeway-relay-1.";
const ID_BYTES = 8;
const ROOT_BYTES = 32;
const SECRET_BYTES = 32;
const CHECKSUM_BYTES = 4;
const EXPIRY_BYTES = 6;
const LENGTH_BYTES = 1;
const FIXED_BYTES = EXPIRY_BYTES + ID_BYTES + ROOT_BYTES + SECRET_BYTES + LENGTH_BYTES;

/** A token lives no longer (contract identity.md 4.2, R10). */
export const TOKEN_LIFETIME_MS_MAX = 3_600_000;

/** What a bootstrap token says to whoever has it. Its secret stays in the text. */
export interface BootstrapToken {
  readonly cluster: ClusterId;
  /** Of the root by which the manager is known before any certificate of ours is. */
  readonly rootSha256: Fingerprint;
  readonly expiresAt: EpochMs;
  /** 16 characters of lower case hex; no secret. */
  readonly id: string;
  /** SHA-256 of the whole token in lower case hex: all that its maker keeps. */
  readonly hash: string;
}

/** @returns `text`, one line that is shown once, and what is kept of it. */
export function newToken(
  random: Random,
  { cluster, rootSha256, expiresAt }: Pick<BootstrapToken, "cluster" | "rootSha256" | "expiresAt">,
): BootstrapToken & { readonly text: string } {
  const id = Buffer.from(random.bytes(ID_BYTES));
  const expiry = Buffer.alloc(EXPIRY_BYTES);
  expiry.writeUIntBE(Math.floor(expiresAt / 1000), 0, EXPIRY_BYTES);
  const body = Buffer.concat([
    expiry,
    id,
    Buffer.from(rootSha256, "hex"),
    random.bytes(SECRET_BYTES),
    Buffer.of(cluster.length),
    Buffer.from(cluster, "latin1"),
  ]);
  const text = PREFIX + Buffer.concat([body, checksum(body)]).toString("base64url");
  return { ...parseToken(text), text };
}

/**
 * @param text as it was printed, with space around it if need be.
 * @throws MeshError `invalid`: what is no token, is cut short, or is mistyped, is told apart.
 */
export function parseToken(text: string): BootstrapToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX))
    throw refusal(`it does not begin with ${PREFIX}: give the line that causeway trust token printed, whole`);
  const encoded = trimmed.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, "base64url");
  const wanted = FIXED_BYTES + (bytes[FIXED_BYTES - 1] ?? 0) + CHECKSUM_BYTES;
  if (bytes.length < wanted && /^[A-Za-z0-9_-]*$/.test(encoded))
    throw refusal(`it is cut short, to ${bytes.length} of ${wanted} bytes: copy the whole line`);
  const body = bytes.subarray(0, -CHECKSUM_BYTES);
  // Node passes over what is no base64: only what is written in the one way counts.
  const whole = bytes.toString("base64url") === encoded && checksum(body).equals(bytes.subarray(body.length));
  const cluster = body.toString("latin1", FIXED_BYTES);
  if (!whole || bytes.length !== wanted || !isClusterId(cluster))
    throw refusal("it is mistyped or has more in it, as its checksum is wrong: copy the line again");
  return {
    cluster,
    rootSha256: body.toString("hex", EXPIRY_BYTES + ID_BYTES, EXPIRY_BYTES + ID_BYTES + ROOT_BYTES),
    expiresAt: body.readUIntBE(0, EXPIRY_BYTES) * 1000,
    id: body.toString("hex", EXPIRY_BYTES, EXPIRY_BYTES + ID_BYTES),
    hash: hash("sha256", trimmed, "hex"),
  };
}

const checksum = (body: Uint8Array): Buffer => hash("sha256", body, "buffer").subarray(0, CHECKSUM_BYTES);

const refusal = (why: string): MeshError =>
  new MeshError("invalid", `the bootstrap token cannot be used: ${why}`, { reason: "TokenMalformed" });
