import type { spire } from "../../../proto/gen/mesh.js";
import { MeshError } from "../../errors.ts";
import { isPathSegment, isTrustDomain } from "../../spiffe.ts";

/** A SPIFFE ID of any path, which is empty for a trust domain's own. */
export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash. */
  readonly path: string;
}

const SCHEME = "spiffe://";
const RESERVED = /^\/spire($|\/)/;

/** @throws MeshError `invalid` */
export function parseSpiffeId(text: string): SpiffeId {
  if (!text.startsWith(SCHEME)) throw new MeshError("invalid", "scheme is missing or invalid");
  const [trustDomain = "", ...segments] = text.slice(SCHEME.length).split("/");
  return checkedId({ trustDomain, path: segments.map((segment) => `/${segment}`).join("") });
}

/** @throws MeshError `invalid`, also for none at all. */
export function idOf(message: spire.ISpiffeId | null | undefined): SpiffeId {
  if (message === null || message === undefined) throw new MeshError("invalid", "request must specify SPIFFE ID");
  return checkedId({ trustDomain: message.trustDomain ?? "", path: message.path ?? "" });
}

export const textOf = ({ trustDomain, path }: SpiffeId): string => `${SCHEME}${trustDomain}${path}`;

function checkedId(id: SpiffeId): SpiffeId {
  const why = whyNoTrustDomain(id.trustDomain) ?? whyNoPath(id.path);
  if (why !== undefined) throw new MeshError("invalid", why);
  return id;
}

/** In SPIRE's words. */
export function whyNoTrustDomain(name: string): string | undefined {
  if (name === "") return "trust domain is missing";
  if (isTrustDomain(name)) return undefined;
  return "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores";
}

function whyNoPath(path: string): string | undefined {
  if (path === "") return undefined;
  const [before, ...segments] = path.split("/");
  if (before !== "") return "path must have a leading slash";
  if (segments.at(-1) === "") return "path cannot have a trailing slash";
  if (segments.includes("")) return "path cannot contain empty segments";
  if (segments.includes(".") || segments.includes("..")) return "path cannot contain dot segments";
  if (segments.every(isPathSegment)) return undefined;
  return "path segment characters are limited to letters, numbers, dots, dashes, and underscores";
}

/** What an entry may name as its parent. @throws MeshError `invalid` */
export function requireMember(trustDomain: string, id: SpiffeId): SpiffeId {
  const not = `"${textOf(id)}" is not a member of trust domain "${trustDomain}"`;
  if (id.trustDomain !== trustDomain) throw new MeshError("invalid", not);
  if (id.path === "") throw new MeshError("invalid", `${not}; path is empty`);
  return id;
}

/** What a workload may be called. @throws MeshError `invalid` */
export function requireWorkload(trustDomain: string, id: SpiffeId): SpiffeId {
  const what = `"${textOf(id)}" is not a workload in trust domain "${trustDomain}"`;
  if (id.trustDomain !== trustDomain)
    throw new MeshError("invalid", `"${textOf(id)}" is not a member of trust domain "${trustDomain}"`);
  if (id.path === "") throw new MeshError("invalid", `${what}; path is empty`);
  if (RESERVED.test(id.path)) throw new MeshError("invalid", `${what}; path is in the reserved namespace`);
  return id;
}

export const serverId = (trustDomain: string): string => `${SCHEME}${trustDomain}/spire/server`;
export const isAgentId = (id: string): boolean => /^spiffe:\/\/[^/]+\/spire\/agent\/./.test(id);
