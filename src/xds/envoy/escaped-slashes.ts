import type { RequestPolicy } from "../../registry/model/proxy-policies.ts";
import type { RbacPolicy } from "./rbac.ts";

/**
 * Denies paths with a slash or backslash in percent-encoding. To Envoy those are letters of a segment, to many servers
 * they are slashes, so `/public%2f..%2fadmin` would be one path to a policy and another to the service. Many services
 * do mean them (names of packages, keys of objects), hence this holds only where policies look at paths.
 */
export function escapedSlashPolicy(): Record<string, RbacPolicy> {
  const rules = ["%2f", "%5c"].map((contains) => ({ urlPath: { path: { contains, ignoreCase: true } } }));
  return { "escaped-slash-in-path": { principals: [{ any: true }], permissions: [{ orRules: { rules } }] } };
}

/** True if what `policy` decides depends on paths. */
export const looksAtPaths = ({ rules }: RequestPolicy): boolean =>
  rules.some(
    ({ to, when }) =>
      to.some(({ paths }) => paths !== undefined) ||
      when.some((condition) => condition.on === "operation" && condition.match.paths !== undefined),
  );
