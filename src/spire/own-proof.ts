import { hash } from "node:crypto";
import { readCertificate } from "../ca/certificate-fields.ts";
import { toPem } from "../pem.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { AgentSvid, AgentSvids } from "./spire.ts";

/** Of several identities that the agent gives us, the one whose entry has this hint is shown; else the first. */
const OWN_HINT = "causeway";

/** What we show SPIRE's server, and what its own certificate is held to. */
export interface OwnProof {
  readonly spiffeId: string;
  readonly expiresAt: EpochMs;
  /** In PEM, leaf first. */
  readonly chain: string;
  /** In PEM. */
  readonly key: string;
  /** In PEM: those of the server's trust domain alone. */
  readonly roots: string;
  /** Two that have the same prove the same. */
  readonly digest: string;
}

/** @throws MeshError `unavailable`, naming what the agent has not given us. */
export function ownProof(said: AgentSvids | undefined, trustDomain: string, now: EpochMs): OwnProof {
  const svid = said && shownOf(said.svids);
  const leaf = svid?.chain[0];
  if (said === undefined || svid === undefined || leaf === undefined)
    throw new MeshError("unavailable", "SPIRE's agent has given us no SVID yet; the log of scope spire says why");
  const { spiffeId } = svid;
  const roots = said.bundles.get(trustDomain)?.map(pemOf).join("") ?? "";
  if (roots === "")
    throw new MeshError(
      "unavailable",
      `SPIRE's agent calls us ${spiffeId} and has no bundle of trust domain ${trustDomain}: is it an agent of another trust domain than the mesh's?`,
    );
  const { notAfter } = readCertificate(leaf);
  if (notAfter <= now)
    throw new MeshError(
      "unavailable",
      `our SVID ${spiffeId} ended at ${new Date(notAfter).toISOString()}, and SPIRE's agent has not renewed it`,
    );
  const chain = svid.chain.map(pemOf).join("");
  const key = toPem("PRIVATE KEY", svid.key);
  return { spiffeId, expiresAt: notAfter, chain, key, roots, digest: hash("sha256", chain + roots) };
}

/** Which of them is shown to the server. */
export const shownOf = (svids: readonly AgentSvid[]): AgentSvid | undefined =>
  svids.find(({ hint }) => hint === OWN_HINT) ?? svids[0];

const pemOf = (der: Uint8Array): string => toPem("CERTIFICATE", der);
