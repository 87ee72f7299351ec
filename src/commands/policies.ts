import { meshListing } from "./mesh-listing.ts";

export const policiesCommand = meshListing({
  name: "policies",
  aliases: ["policy"],
  summary: "authorization policies as ztunnels enforce them",
  headers: ["NAMESPACE", "POLICY NAME", "ACTION", "SCOPE"],
  of: ({ policies }) => policies,
  row: ({ namespace, name, action, scope }) => [namespace, name, action, scope],
});
