export { AboutScreen as default } from "@/screens/AboutScreen";
