import type { Finding } from "../inspect/finding.ts";
import { type Authority, authorityOf, shortOf, whyNotBelieved } from "./roots.ts";
import { nameOf, type Pair, type Side } from "./side.ts";

const FIELD = "data[root-cert.pem]";

/** Whether each control plane would believe the other's certificate, as TLS between them is mutual (contract peering.md 2.3). */
export function trustFindings({ reader, peer, mutual }: Pair): readonly Finding[] {
  return [believed(peer, reader, true), believed(reader, peer, mutual)];
}

/** @param named if `reader` has, or gets, a Gateway that names the trust domain of `signer`. */
function believed(signer: Side, reader: Side, named: boolean): Finding {
  const [shown, believes] = [authorityOf(signer), authorityOf(reader)];
  const finding = (code: string, level: Finding["level"], evidence: string, fix: string): Finding => ({
    ...{ code, level, cluster: reader.cluster, object: "ConfigMap istio-ca-root-cert", field: FIELD, evidence, fix },
  });
  const [unread] = [shown, believes].flatMap(({ unknown }) => unknown ?? []);
  if (unread !== undefined && (believes.unknown !== undefined || shown.chain.length === 0))
    return finding(
      "CWY3010",
      "warning",
      `Whether ${nameOf(reader)} believes ${nameOf(signer)} is not known, as ${unread}`,
      "causeway multicluster check says it once they are linked",
    );
  const extra = configuredFor(reader, signer.trustDomain);
  // A Gateway makes our own roots count for the peer's trust domain, too.
  const ownCount = named || signer.trustDomain === reader.trustDomain;
  const why = whyNotBelieved(shown, ownCount ? believes : { ...believes, roots: [] }, extra);
  if (why === undefined)
    return finding(
      "CWY3011",
      "ok",
      `${nameOf(reader)} believes ${nameOf(signer)} (trust domain ${signer.trustDomain}, roots ${shortOf(shown.roots)})`,
      "",
    );
  return foreign(finding, signer, reader, { why, shown, believes, ownCount });
}

/** Roots that the mesh config of `reader` believes for a trust domain. */
const configuredFor = ({ mesh }: Side, trustDomain: string): readonly Uint8Array[] =>
  (mesh?.caCertificates ?? []).flatMap(({ roots, trustDomains, certSigners }) =>
    certSigners.length === 0 && trustDomains.includes(trustDomain) ? roots : [],
  );

interface Doubt {
  readonly why: string;
  readonly shown: Authority;
  readonly believes: Authority;
  readonly ownCount: boolean;
}

function foreign(
  finding: (code: string, level: Finding["level"], evidence: string, fix: string) => Finding,
  signer: Side,
  reader: Side,
  { why, shown, believes, ownCount }: Doubt,
): Finding {
  const config = `mesh.caCertificates of ConfigMap ${reader.system}/istio of ${nameOf(reader)} (pem, trustDomains: [${signer.trustDomain}])`;
  if (!ownCount)
    return finding(
      "CWY3012",
      "error",
      `${nameOf(reader)} has no Gateway for ${signer.cluster}, whose trust domain ${signer.trustDomain} is not its own (${reader.trustDomain}), so it believes no root for it`,
      `link in both directions, or put the root of ${signer.cluster} into ${config}`,
    );
  return finding(
    "CWY3010",
    "error",
    `${nameOf(reader)} would not believe ${nameOf(signer)}: ${why} (roots of ${signer.cluster}: ${shortOf(shown.roots)}; of ${reader.cluster}: ${shortOf(believes.roots)})`,
    `give both a common root, as causeway ca issue does; or put the root of ${signer.cluster} into ${config}`,
  );
}
