-- One opportunity a lead: won where a deal was closed, else open. Losses were not recorded.
SELECT
  leads.mql_id AS opportunity_id,
  leads.mql_id AS account_id,
  leads.first_contact_date AS created_at,
  deals.won_date AS closed_at,
  CASE WHEN deals.mql_id IS NULL THEN 'open' ELSE 'won' END AS status,
  leads.origin AS lead_source,
  deals.sr_id AS owner_id
FROM olist_marketing_qualified_leads_dataset AS leads
LEFT JOIN olist_closed_deals_dataset AS deals USING (mql_id)
