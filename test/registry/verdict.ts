import { admitted, type Connection } from "../kits/ztunnel-verdict.ts";
import type { TestMesh } from "./mesh.ts";

/** What ztunnel decides of a connection in a mesh (contract ztunnel.md 6.7), as far as principals and ports go. */
export const admits = ({ registry }: TestMesh, connection: Connection): boolean =>
  admitted(
    [...registry.policies.entries()].map(([, policy]) => policy),
    connection,
  );
