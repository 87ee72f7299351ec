import { pathLength, readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { fingerprintOf } from "../ca/issued-list.ts";
import { rootAbove, shortOf, type Signing, signingOf, subjectOf, type TrustFacts, whyNotUnder } from "./trust-facts.ts";
import { error, good, type TrustFinding, warning } from "./trust-finding.ts";

/** The chain of each cluster, and of each against the roots of all others (contract identity.md 4.2, R4 and R14). */
export function chainChecks(facts: TrustFacts): readonly TrustFinding[] {
  const signing = signingOf(facts);
  return [
    ...signing.flatMap((cluster) => [verifiedCheck(cluster), pathCheck(cluster), nameCheck(cluster)]),
    ...sameRoots(signing),
    ...crossChecks(signing),
    ...trustDomains(signing),
  ];
}

function verifiedCheck({ object, chain, roots }: Signing): TrustFinding {
  // A root that signs for workloads itself has no chain.
  if (chain.length === 0) {
    const fix =
      "a cluster that shares a root signs with an intermediate of its own: have the trust manager give it one";
    return warning("TRUST301", object, `${roots.map(subjectOf).join(", ")} signs for workloads itself`, fix);
  }
  const root = rootAbove(chain, roots);
  if (root === undefined) {
    const why = whyNotUnder(chain, roots) ?? "it has no root";
    return error(
      "TRUST301",
      object,
      why,
      "what it signs is refused everywhere: put back what was there before, or renew it",
    );
  }
  return good("TRUST301", object, `leads to root ${subjectOf(root)} (${shortOf(root)})`);
}

function pathCheck({ object, chain, roots }: Signing): TrustFinding {
  const root = rootAbove(chain, roots);
  const path = [...chain, ...(root === undefined ? [] : [root])];
  const wrong = path.findIndex((der, at) => {
    const { ca, max } = pathLength(readCertificate(der));
    return !ca || (max !== undefined && max < at);
  });
  const fix = "workloads that verify by the rules refuse what it signs: have the source issue it with a longer path";
  if (wrong >= 0) {
    const { ca, max } = pathLength(readCertificate(path[wrong]!));
    const why = ca ? `allows ${max} authorities below it, and ${wrong} follow` : "is no certificate authority";
    return error("TRUST302", object, `${subjectOf(path[wrong]!)} ${why}`, fix);
  }
  const lengths = path.map((der) => pathLength(readCertificate(der)).max ?? "any");
  return good("TRUST302", object, `path lengths ${lengths.join(", ") || "any"}, from the one that signs up`);
}

function nameCheck({ object, chain, relay }: Signing): TrustFinding {
  const [own] = chain;
  const expected = `spiffe://${relay.trustDomain}`;
  const uris = own === undefined ? [] : uriNames(readCertificate(own));
  if (own === undefined || uris.includes(expected))
    return good("TRUST303", object, own ? `named ${expected}` : "no chain");
  const is = uris.length === 0 ? "has no SPIFFE ID" : `is named ${uris.join(", ")}`;
  const fix = `have it issued with the URI ${expected}; SPIFFE verifiers may refuse it`;
  return uris.length === 0
    ? warning("TRUST303", object, `${subjectOf(own)} ${is}`, fix)
    : error("TRUST303", object, `${subjectOf(own)} ${is}, and the trust domain is ${relay.trustDomain}`, fix);
}

function sameRoots(signing: readonly Signing[]): readonly TrustFinding[] {
  if (signing.length < 2) return [];
  const key = ({ roots }: Signing): string => roots.map(fingerprintOf).sort().join();
  const said = ({ object, roots }: Signing): string => `${object} trusts ${roots.map(shortOf).sort().join(" ")}`;
  if (new Set(signing.map(key)).size === 1)
    return [
      good(
        "TRUST304",
        "all clusters",
        signing[0]!.roots.map((root) => `${subjectOf(root)} (${shortOf(root)})`).join(", "),
      ),
    ];
  const fix = "while a root is changed that is so for a while: causeway trust status says what it waits for";
  return [warning("TRUST304", "all clusters", signing.map(said).join("; "), fix)];
}

function crossChecks(signing: readonly Signing[]): readonly TrustFinding[] {
  return signing.flatMap((one) =>
    signing
      .filter((other) => other !== one)
      .map((other) => {
        const shown = one.chain.length > 0 ? one.chain : one.roots;
        const why = whyNotUnder(shown, other.roots);
        const object = `${one.object} at ${other.object}`;
        if (why === undefined) return good("TRUST305", object, "what it signs is taken");
        const fix = `workloads of ${other.object} refuse those of ${one.object}: give both one root with a RootTrustPolicy, or peer them by trust bundles`;
        return error("TRUST305", object, why, fix);
      }),
  );
}

function trustDomains(signing: readonly Signing[]): readonly TrustFinding[] {
  if (signing.length === 0) return [];
  const all = [...new Set(signing.map(({ relay }) => relay.trustDomain))];
  if (all.length === 1) return [good("TRUST306", "all clusters", `trust domain ${all[0]}`)];
  const each = signing.map(({ object, relay }) => `${object}: ${relay.trustDomain}`).join("; ");
  return [warning("TRUST306", "all clusters", each, "if that is not meant, give all of them one IdentityProvider")];
}
