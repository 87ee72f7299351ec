import assert from "node:assert/strict";

/** A DNS subdomain, as the name of a Secret (RFC 1123): no path leads out of a folder by it. */
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Names of documents are ours: whoever makes one of what others say, as of a cluster, has to make it fit. */
export function requireDocumentName(name: string): void {
  assert.match(name, NAME, "a document of the trust manager is named like a Secret");
}
