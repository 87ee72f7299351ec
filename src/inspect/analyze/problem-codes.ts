import type { Problem } from "../../registry/model/problem.ts";
import type { AnalysisCodeName } from "./codes.ts";

/**
 * By the key that the registry keeps a problem under: what is said may be put better one day, and the code must stay. The
 * first that fits counts; undefined is for what an analysis of all clusters says better.
 */
const BY_KEY: readonly (readonly [RegExp, AnalysisCodeName | undefined])[] = [
  [/^policy-targets /, "CWY2402"],
  [/^(request-policy|token-policy|policy) /, "CWY2405"],
  [/^PeerAuthentication /, "CWY2406"],
  [/^destination-rule /, "CWY2505"],
  [/^route /, "CWY2504"],
  [/^foreign /, "CWY2312"],
  [/^endpoint /, "CWY2315"],
  [/^PeerGrant /, "CWY2215"],
  [/^network .*#gateway$/, "CWY2108"],
  [/^Global .*#port-/, undefined],
  [/^Global .*#policy$/, "CWY2318"],
  [/^Global .*#rivals$/, "CWY2314"],
  [/^Global#addresses$/, "CWY2315"],
  [/^Peer .*#(domain|aliases)$/, "CWY2213"],
  [/^Peer .*#network$/, "CWY2214"],
  [/^Peer .*#identities$/, undefined],
  [/^Peer .*#distribution$/, undefined],
  [/^Peer .*#address$/, "CWY2315"],
  [/^Gateway .*#preferred$/, "CWY2007"],
  [/^Gateway .*#door#/, "CWY2107"],
  [/^Gateway .*#door$/, undefined],
  [/^Service .*#hbone$/, "CWY2316"],
  [/^Service .*#sharing#metadata\.labels\[solo\.io\/service-takeover\]/, "CWY2310"],
  [/^Service .*#sharing#metadata\./, "CWY2314"],
  [/^Service .*#sharing#/, "CWY2307"],
  [/^Segment |#segment$/, "CWY2313"],
  [/#takeover$/, "CWY2310"],
  [/#network$/, "CWY2104"],
  [/#waypoint$/, "CWY2501"],
  [/#scope$|#doubt#/, "CWY2007"],
  [/#spec\.listeners/, "CWY2503"],
  [/#spec\.(hosts|clusterIPs|addresses)/, "CWY2315"],
];

/** Undefined if it is said of all clusters together. */
export function codeOfProblem(key: string, problem: Problem): AnalysisCodeName | undefined {
  if (/^Gateway .*#peer$/.test(key)) return problem.message.includes("(Conflicted)") ? "CWY2206" : "CWY2201";
  const found = BY_KEY.find(([pattern]) => pattern.test(key));
  if (found === undefined) return "CWY2900";
  const [, code] = found;
  if (code === "CWY2402") return isBypass(problem) ? "CWY2401" : code;
  if (code === "CWY2405") return problem.message.includes("needs HTTP") ? "CWY2404" : code;
  return code === "CWY2310" && problem.message.includes("which has no effect; use true or false") ? "CWY2007" : code;
}

/** Its targets are all guarded, and not all callers pass the guard. */
const isBypass = ({ message }: Problem): boolean => !/(Elsewhere it is enforced|Nobody enforces it)\.$/.test(message);
