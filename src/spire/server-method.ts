/** What a caller's entry must have for a method (contract identity.md 1.1). */
export type Role = "admin" | "downstream" | "anybody";

export interface ServerMethod {
  /** As in metrics. */
  readonly name: string;
  /** As `/spire.api.server.svid.v1.SVID/MintX509SVID`. */
  readonly path: string;
  readonly role: Role;
  /** True if the server's key manager has to sign for it. */
  readonly signs: boolean;
}

const method = (service: string, name: string, role: Role): ServerMethod => ({
  name,
  path: `/spire.api.server.${service.toLowerCase()}.v1.${service}/${name}`,
  role,
  signs: service === "SVID",
});

/** Those of a SPIRE server's methods that are called here. */
export const METHODS = {
  mint: method("SVID", "MintX509SVID", "admin"),
  newDownstreamCa: method("SVID", "NewDownstreamX509CA", "downstream"),
  bundle: method("Bundle", "GetBundle", "anybody"),
  federatedBundles: method("Bundle", "ListFederatedBundles", "admin"),
  entries: method("Entry", "ListEntries", "admin"),
  createEntries: method("Entry", "BatchCreateEntry", "admin"),
  updateEntries: method("Entry", "BatchUpdateEntry", "admin"),
  deleteEntries: method("Entry", "BatchDeleteEntry", "admin"),
  agents: method("Agent", "ListAgents", "admin"),
} as const satisfies Readonly<Record<string, ServerMethod>>;
