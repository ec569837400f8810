export { StraightenScreen as default } from "@/screens/StraightenScreen";
