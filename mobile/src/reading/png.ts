/** PNG, in and out. */

import "./latin1";

export { decode, encode } from "fast-png";
