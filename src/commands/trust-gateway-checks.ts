import { fingerprintOf } from "../ca/issued-list.ts";
import {
  type GatewayFacts,
  issuerOf,
  rootAbove,
  shortOf,
  signingOf,
  subjectOf,
  type TrustFacts,
} from "./trust-facts.ts";
import { error, good, type TrustFinding, warning } from "./trust-finding.ts";

/** What gateways present to whoever dials them. */
export function gatewayChecks(facts: TrustFacts): readonly TrustFinding[] {
  const roots = uniqueOf(signingOf(facts).flatMap(({ roots }) => roots));
  return [...facts.gateways.flatMap((gateway) => gatewayCheck(gateway, roots)), ...acrossCheck(facts, roots)];
}

function uniqueOf(roots: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...new Map(roots.map((root) => [fingerprintOf(root), root])).values()];
}

function gatewayCheck(gateway: GatewayFacts, roots: readonly Uint8Array[]): readonly TrustFinding[] {
  const object = `gateway ${gateway.address}`;
  if ("why" in gateway)
    return [error("TRUST401", object, gateway.why, "see that it runs, and that this address leads to its HBONE port")];
  const [leaf] = gateway.shown;
  const asked = gateway.asked
    ? "; it asked for a client certificate, and ended the connection without one, as a mesh's should"
    : "";
  if (leaf === undefined)
    return [
      warning(
        "TRUST401",
        object,
        "it asked for a client certificate before it presented its own, so its issuer cannot be seen from outside",
        "ask from a pod of the mesh, or look at what its ztunnel or Envoy holds",
      ),
    ];
  const seen = good("TRUST401", object, `it presents ${subjectOf(leaf)}, issued by ${issuerOf(leaf)}${asked}`);
  if (roots.length === 0) return [seen];
  const root = rootAbove(gateway.shown, roots);
  if (root !== undefined)
    return [seen, good("TRUST402", object, `leads to root ${subjectOf(root)} (${shortOf(root)})`)];
  const fix =
    "it has not had a certificate since the root changed, or belongs to another mesh: restart it, or name another address";
  return [seen, error("TRUST402", object, "no root of the clusters named here leads to what it presents", fix)];
}

/** Guide 004: every gateway shows the same issuer, by which the root is meant. */
function acrossCheck({ gateways }: TrustFacts, roots: readonly Uint8Array[]): readonly TrustFinding[] {
  const seen = gateways.flatMap((gateway) => {
    if (!("shown" in gateway) || gateway.shown[0] === undefined) return [];
    const root = rootAbove(gateway.shown, roots);
    const above = root === undefined ? issuerOf(gateway.shown.at(-1)!) : `${subjectOf(root)} (${shortOf(root)})`;
    return [{ address: gateway.address, above }];
  });
  if (seen.length < 2) return [];
  const all = new Set(seen.map(({ above }) => above));
  if (all.size === 1) return [good("TRUST403", "all gateways", `all lead to ${[...all][0]}`)];
  const each = seen.map(({ address, above }) => `${address} leads to ${above}`).join("; ");
  return [
    warning(
      "TRUST403",
      "all gateways",
      each,
      "while a root is changed that is so for a while; see causeway trust status",
    ),
  ];
}
