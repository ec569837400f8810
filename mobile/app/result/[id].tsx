export { ResultScreen as default } from "@/screens/ResultScreen";
