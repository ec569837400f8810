/** PNG, in and out. */

import "./textDecoder";

export { decode, encode } from "fast-png";
