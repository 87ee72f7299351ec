import { fingerprintOf } from "../ca/issued-list.ts";
import type { Finding } from "../inspect/finding.ts";
import { toPem } from "../pem.ts";
import { networkClashes, ownFinding, relinkFindings, segmentFindings } from "./offer-findings.ts";
import type { Offer } from "./offer.ts";
import { offeredSide, offeredWay } from "./offered-side.ts";
import { type LinkOptions, type PairPlan, planPair } from "./pairs.ts";
import type { Side } from "./side.ts";

export interface AcceptOptions extends Pick<LinkOptions, "namespace" | "flat"> {
  /** The other cluster is not to read this one. */
  readonly oneWay: boolean;
  /** A link that leads elsewhere is to lead where the offer says. */
  readonly replace: boolean;
}

/** What accepting an offer would do, in the one cluster that is asked. */
export interface Acceptance {
  /** Who reads the cluster that is offered; its findings are all that there is to say. */
  readonly plan: PairPlan;
  /** The other direction, for which its team makes the Gateway; undefined if there is to be none. */
  readonly back: PairPlan | undefined;
  /** What would have this cluster believe the other: a part of its mesh config; undefined if it does. */
  readonly missingTrust: string | undefined;
}

/**
 * Judged by the rules of `link`, as if as much of the other cluster had been read as its offer says.
 * @param now wall time in milliseconds since the Unix epoch.
 */
export function acceptanceOf(reader: Side, offer: Offer, options: AcceptOptions, now: number): Acceptance {
  const peer = offeredSide(offer, now, reader.system);
  const mutual = !options.oneWay;
  const linkOptions: LinkOptions = {
    ...{ namespace: options.namespace, flat: options.flat, via: undefined },
    ...{ addresses: new Map(), localities: new Map(), ways: new Map([[peer, offeredWay(offer)]]) },
  };
  const plan = planPair({ reader, peer, mutual }, linkOptions);
  if (reader.cluster === offer.cluster) {
    const refused = { ...plan, findings: [ownFinding(reader, offer)], manifest: undefined };
    return { plan: refused, back: undefined, missingTrust: undefined };
  }
  const findings = [
    ...plan.findings.map((finding) => asOffered(finding, reader, offer, mutual)),
    ...networkClashes(reader, offer, options.flat),
    ...relinkFindings(reader, offer, { ours: plan.imagined !== undefined, replace: options.replace }),
    ...segmentFindings(reader, offer),
  ];
  const wrong = findings.some(({ level }) => level === "error");
  const doubted = findings.some((finding) => isDistrust(finding) && finding.cluster === reader.cluster);
  const back = mutual ? planPair({ reader: peer, peer: reader, mutual }, linkOptions) : undefined;
  return {
    plan: { ...plan, findings, manifest: wrong ? undefined : plan.manifest },
    // Whether each believes the other is said with `plan`, and the rest is for the other team to hear.
    back: back && { ...back, findings: [] },
    missingTrust: doubted ? trustSnippet(offer) : undefined,
  };
}

const isDistrust = ({ code, level }: Pick<Finding, "code" | "level">): boolean =>
  (code === "CWY3010" || code === "CWY3012") && level === "error";

/** Said to somebody who may do nothing in the other cluster, and has its offer in hand. */
function asOffered(finding: Finding, reader: Side, offer: Offer, mutual: boolean): Finding {
  const { cluster } = offer;
  if (finding.code === "CWY3009" && finding.level === "error") {
    const fix = `have the team of ${cluster} put its network under a name of its own (${finding.fix.split(";", 1)[0]}), and offer again; or, if pods of both do reach each other, accept it with --flat`;
    return { ...finding, fix };
  }
  if (!isDistrust(finding)) return finding;
  if (finding.cluster !== cluster) return { ...finding, fix: trustFix(reader, offer) };
  // Only the other team can see that, so it is no reason to refuse.
  const fix = mutual
    ? `have the answer accepted there: that is judged by all that ${cluster} believes, and names the root that it lacks`
    : `have the team of ${cluster} do this: ${finding.fix}`;
  return { ...finding, level: "warning", evidence: `${finding.evidence}, as far as its offer says`, fix };
}

function trustFix(reader: Side, { cluster, trustDomain, roots }: Offer): string {
  const prints = roots.map(fingerprintOf).join(", ");
  const one = `; both say that their trust domain is ${trustDomain}, so whoever has that root's key could then be anybody in either: trust domains of their own are better`;
  return (
    `have the team of ${cluster} read you the SHA-256 of its root by a way that you trust (the offer says ${prints}); then put that root ` +
    `into the mesh config, as is printed below (docs/mesh-config.md#whom-we-trust), or give both a common root (docs/certificates.md)${trustDomain === reader.trustDomain ? one : ""}`
  );
}

/** For `data.mesh` of the ConfigMap of the mesh. */
function trustSnippet({ cluster, trustDomain, roots }: Offer): string {
  const items = roots.map((root) => {
    const pem = toPem("CERTIFICATE", root).trimEnd().split("\n");
    const lines = pem.map((line) => `      ${line}`).join("\n");
    return `  # SHA-256 ${fingerprintOf(root)}\n  - trustDomains: [${JSON.stringify(trustDomain)}]\n    pem: |\n${lines}\n`;
  });
  return `# roots of cluster ${cluster}, to be compared with what its team reads out\ncaCertificates:\n${items.join("")}`;
}
